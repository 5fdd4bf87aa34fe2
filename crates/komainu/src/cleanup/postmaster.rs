//! The postmaster's copy of a session in which something went wrong (`notify_classes`).
//!
//! A message of our own, put into the queue like any other when the session is over; nobody waits for it. Its text is
//! Postfix's, for sessions with clients as for those with other servers. What is kept of a session, and what is left
//! out of it, is `proto::transcript`'s. T1.13.

use super::{Intake, Message, Origin, Source};
use crate::clock;
use crate::configuration::Notices;
use crate::privileged::LocalSockets;
use mail::report::fold_to;
use mail::{Address, QueueId, Wall};
use proto::transcript::Transcript;
use queue::Recipient;
use std::sync::Arc;

/// The length of a line without the blank in front of it.
const WIDTH: usize = 78;

/// Who tells the postmaster.
#[derive(Clone)]
pub struct Postmaster {
    /// Where the message goes.
    pub intake: Intake,
    /// Of what, and whom.
    pub notices: Arc<Notices>,
    /// Milters on sockets of the file system.
    pub sockets: LocalSockets,
}

impl Postmaster {
    /// A session with a client is over: whoever wants to hear of it does.
    pub fn hear_of_client(&self, client: &str, transcript: &Transcript) {
        let subject = format!("{} SMTP server: errors from {client}", self.intake.rules.mail_name);
        self.hear(&subject, server_text(transcript), transcript);
    }

    /// A session with a server is over; `speaking` is `SMTP` or `LMTP`.
    pub fn hear_of_server(&self, speaking: &str, server: &str, transcript: &Transcript) {
        let subject = format!("{} {speaking} client: errors from {server}", self.intake.rules.mail_name);
        self.hear(&subject, client_text(server, transcript), transcript);
    }

    fn hear(&self, subject: &str, text: String, transcript: &Transcript) {
        let (notices, mut intake, sockets) = (&self.notices, self.intake.clone(), self.sockets.clone());
        intake.rules = Arc::new(intake.rules.of_notices());
        let Some(to) = notices.recipient(transcript) else { return };
        let (to, sender, subject) = (to.clone(), notices.sender.clone(), subject.to_owned());
        let names = Names {
            origin: notices.origin.clone(),
            host: intake.rules.hostname.clone(),
            mail_name: intake.rules.mail_name.clone(),
            to: intake.classes.rewrite(&notices.errors_to),
        };
        tokio::spawn(async move {
            // What can't be stored now is in the log.
            let Ok(message) = Message::begin(intake, Origin::Local, &sender, 0).await else { return };
            let mut message = message.unanswered();
            let (received, head) = names.head(message.id(), message.began(), &subject);
            let (client, recipient) = ("local".to_owned(), Some(names.to.to_external()));
            message.open(received.as_bytes(), Source { client, recipient, ..Source::default() });
            message.write(head.as_bytes()).await;
            message.write(text.as_bytes()).await;
            let entry = message.entry(vec![Recipient::new(to)]);
            let _ = message.commit_or_return(&sockets, entry).await;
        });
    }
}

/// What stands in the header.
struct Names {
    origin: String,
    host: String,
    mail_name: String,
    to: Address,
}

impl Names {
    /// `Received:`, and the other headers.
    fn head(&self, id: &QueueId, now: Wall, subject: &str) -> (String, String) {
        let Names { origin, host, mail_name, to } = self;
        let date = mail::time::rfc5322(now, &clock::zone(now));
        let stamp = mail::time::compact(now);
        let received = format!("Received: by {host} ({mail_name})\n\tid {id}; {date}\n");
        let head = format!(
            "Date: {date}\n\
             From: Mail Delivery System <MAILER-DAEMON@{origin}>\nTo: Postmaster <{to}>\nSubject: {subject}\n\
             Message-Id: <{stamp}.{id}@{host}>\n",
        );
        (received, head)
    }
}

/// The end of both.
const END: &str = "\nFor other details, see the local mail logfile\n";

fn server_text(transcript: &Transcript) -> String {
    let mut text = "\nTranscript of session follows.\n\n".to_owned();
    add_lines(transcript, &mut text);
    text.push('\n');
    if let Some(why) = transcript.aborted() {
        text.push_str(&format!("Session aborted, reason: {why}\n"));
    }
    text.push_str(END);
    text
}

fn client_text(server: &str, transcript: &Transcript) -> String {
    let mut text = format!("\nUnexpected response from {server}.\n\nTranscript of session follows.\n\n");
    add_lines(transcript, &mut text);
    text.push_str(END);
    text
}

fn add_lines(transcript: &Transcript, text: &mut String) {
    for line in transcript.lines() {
        let mut folded = String::new();
        fold_to(WIDTH, line, &mut folded);
        for line in folded.lines() {
            text.push(' ');
            text.push_str(line);
            text.push('\n');
        }
    }
}
