//! Which sessions the postmaster gets a transcript of: `notify_classes` where main.cf has it, and whom it goes to.
//!
//! Of sessions with other servers it is those that break the protocol.
//! With the default, `resource, software`, nothing is kept: a session that nobody reads about costs no memory. What went
//! wrong then stands in the log. Bounces and delays are `deliver`'s. T1.13.

use config::Parameters;
use mail::Address;
use proto::transcript::{Fault, Transcript};

/// The postmaster's wishes.
#[derive(Clone, Debug)]
pub struct Notices {
    faults: Vec<Fault>,
    /// `error_notice_recipient`
    pub errors_to: Address,
    /// `bounce_notice_recipient`
    pub bounces_to: Address,
    /// `double_bounce_sender`
    pub sender: Address,
    /// `myorigin`
    pub origin: String,
}

impl Notices {
    /// Reads the parameters; `None` where no session is to be told of.
    #[must_use]
    pub fn read(p: &Parameters) -> Option<Notices> {
        if !p.is_set("notify_classes") {
            return None;
        }
        let words = p.list("notify_classes");
        let faults: Vec<Fault> = [
            ("protocol", Fault::Protocol),
            ("policy", Fault::Policy),
            ("bounce", Fault::Bounce),
            ("resource", Fault::Resource),
        ]
        .into_iter()
        .filter(|(name, _)| words.iter().any(|word| word.value.eq_ignore_ascii_case(name)))
        .map(|(_, fault)| fault)
        .collect();
        let address = |name: &str| Address::from_internal(p.text(name).value);
        let host = p.text("myhostname").value;
        (!faults.is_empty()).then(|| Notices {
            faults,
            errors_to: address("error_notice_recipient"),
            bounces_to: address("bounce_notice_recipient"),
            sender: Address::from_internal(format!("{}@{host}", p.text("double_bounce_sender").value)),
            origin: p.text("myorigin").value,
        })
    }

    /// Whether sessions with other servers are told of.
    #[must_use]
    pub fn name_servers(&self) -> bool {
        self.faults.contains(&Fault::Protocol)
    }

    /// Who gets the transcript, where anybody does.
    #[must_use]
    pub fn recipient(&self, transcript: &Transcript) -> Option<&Address> {
        if !self.faults.iter().any(|fault| transcript.has(*fault)) {
            return None;
        }
        Some(if transcript.has(Fault::Bounce) { &self.bounces_to } else { &self.errors_to })
    }
}
