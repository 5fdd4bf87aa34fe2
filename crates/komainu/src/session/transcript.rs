//! The postmaster's copy of a session in which something went wrong (`notify_classes`).
//!
//! A message of our own, put into the queue like any other when the session is over; nobody waits for it. Its text is
//! Postfix's. What is kept of a session, and what is left out of it, is `proto::smtp::Transcript`'s.

use super::Session;
use crate::cleanup::{Intake, Message, Origin};
use crate::clock;
use mail::report::fold_to;
use mail::{Address, QueueId, Wall};
use proto::smtp::Transcript;
use queue::Recipient;

/// The length of a line without the blank in front of it.
const WIDTH: usize = 78;

impl Session {
    /// The session is over: whoever wants to hear of it does.
    pub(super) fn tell_postmaster(&self) {
        let listener = &self.service.listener;
        let (Some(notices), Some(transcript)) = (&listener.notices, self.server.transcript()) else { return };
        let Some(to) = notices.recipient(transcript) else { return };
        let (to, sender) = (to.clone(), notices.sender.clone());
        let classes = &self.service.classes;
        let receiving = &listener.receiving;
        let subject = format!("{} SMTP server: errors from {}", receiving.mail_name, self.peer());
        let names = Names {
            origin: notices.origin.clone(),
            host: receiving.hostname.clone(),
            mail_name: receiving.mail_name.clone(),
            to: classes.rewrite(&notices.errors_to),
        };
        let text = text(transcript);
        let intake = Intake::of(&self.shared, &self.service);
        tokio::spawn(async move {
            // What can't be stored now is in the log.
            let Ok(mut message) = Message::begin(intake, Origin::Local, &sender, 0).await else { return };
            let (received, head) = names.head(message.id(), message.began(), &subject);
            message.open(received.as_bytes());
            message.write(head.as_bytes()).await;
            message.write(text.as_bytes()).await;
            let entry = message.entry(vec![Recipient::new(to)]);
            let _ = message.commit(entry).await;
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

fn text(transcript: &Transcript) -> String {
    let mut text = "\nTranscript of session follows.\n\n".to_owned();
    for line in transcript.lines() {
        let mut folded = String::new();
        fold_to(WIDTH, line, &mut folded);
        for line in folded.lines() {
            text.push(' ');
            text.push_str(line);
            text.push('\n');
        }
    }
    text.push('\n');
    if let Some(why) = transcript.aborted() {
        text.push_str(&format!("Session aborted, reason: {why}\n"));
    }
    text.push_str("\nFor other details, see the local mail logfile\n");
    text
}
