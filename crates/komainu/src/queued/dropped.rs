//! The maildrop as tools see it: mail that `sendmail` left while no server ran, and that the next one takes in.
//!
//! Only who may read the folder sees anything: root, and the account of the server. A file is read as pickup reads it; what
//! is no whole message isn't shown. It has no queue id yet: the one shown is made of when it came and its inode, and is
//! good for looking at. docs/internals/maildrop.md.

use super::Listed;
use super::frames::read_frame;
use crate::pickup::maildrop::{NAME, open};
use mail::{Address, QueueId, Wall};
use proto::control::{REQUEST_BYTES_MAX, Request, State};
use queue::{Entry, Recipient};
use std::io::{self, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

/// What waits in a state folder's maildrop, in order of arrival.
pub(crate) fn dropped(state: &Path) -> Vec<Listed> {
    let folder = state.join(NAME);
    let names = std::fs::read_dir(&folder).into_iter().flatten().flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let mut all: Vec<Listed> = names.filter_map(|name| read(&folder, &name)).collect();
    all.sort_by_key(|listed| (listed.entry.arrival, listed.number));
    all
}

fn read(folder: &Path, name: &str) -> Option<Listed> {
    let file = open(folder, name).ok()?;
    let metadata = file.metadata().ok()?;
    let since = metadata.modified().ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let arrival = Wall(i64::try_from(since.as_micros()).ok()?);
    let number = metadata.ino();
    let entry = envelope(QueueId::short(arrival, number), arrival, &mut BufReader::new(file)).ok()??;
    Some(Listed { number, state: State::Maildrop, entry })
}

/// `None` where it isn't whole.
fn envelope(id: QueueId, arrival: Wall, from: &mut impl io::Read) -> io::Result<Option<Entry>> {
    let mut entry = Entry::new(id, arrival, Address::null(), Vec::new());
    while let Some(frame) = read_frame(from, REQUEST_BYTES_MAX)? {
        match Request::decode(&frame) {
            Ok(Request::Submit(submission)) => entry.sender = Address::from_internal(submission.sender),
            Ok(Request::To(recipients)) => {
                let recipients = recipients.into_iter().map(|to| Address::from_internal(to.address));
                entry.recipients.extend(recipients.map(Recipient::new));
            }
            Ok(Request::Content(bytes)) => entry.size = entry.size.saturating_add(bytes.len() as u64),
            Ok(Request::End) => return Ok(Some(entry)),
            _ => return Ok(None),
        }
    }
    Ok(None)
}
