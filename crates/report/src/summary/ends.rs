//! The ends that connections and messages come to: each has exactly one.

/// How an end is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    /// As it should be.
    Good,
    /// Neither.
    #[default]
    Plain,
    /// Kept out.
    Refused,
    /// Somebody may have to look.
    Bad,
}

/// One of the parts of a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its name in JSON and CSV.
    pub key: &'static str,
    /// In words.
    pub title: &'static str,
    /// What it is to the reader.
    pub mood: Mood,
    /// How many.
    pub count: u64,
}

/// A whole and its parts, which add up to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// All: counted when they begin, not by adding.
    pub total: u64,
    /// The parts in their order, those without anything too.
    pub parts: Vec<Part>,
}

impl Split {
    /// Whether the parts add up to the whole.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        self.parts.iter().map(|part| part.count).sum::<u64>() == self.total
    }

    /// The part with this key; 0 where there is none.
    #[must_use]
    pub fn count(&self, key: &str) -> u64 {
        self.parts.iter().find(|part| part.key == key).map_or(0, |part| part.count)
    }
}

/// An enum of ends with their keys, words and moods, and counters for them.
macro_rules! ends {
    ($(#[$meta:meta])* $name:ident { $($(#[$note:meta])* $variant:ident = $key:literal, $title:literal, $mood:ident;)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$note])* $variant),* }

        impl $name {
            /// All, in the order in which they are shown.
            pub const ALL: &'static [$name] = &[$($name::$variant),*];

            /// Its name in JSON and CSV.
            #[must_use]
            pub const fn key(self) -> &'static str {
                match self { $($name::$variant => $key),* }
            }

            const fn title(self) -> &'static str {
                match self { $($name::$variant => $title),* }
            }

            const fn mood(self) -> Mood {
                match self { $($name::$variant => Mood::$mood),* }
            }

            /// The whole that these numbers are parts of, one for each of [`Self::ALL`].
            pub(super) fn split(total: u64, counts: impl Fn($name) -> u64) -> Split {
                let part = |&end: &$name| Part {
                    key: end.key(), title: end.title(), mood: end.mood(), count: counts(end),
                };
                Split { total, parts: $name::ALL.iter().map(part).collect() }
            }
        }
    };
}

ends! {
    /// How a connection ended. The first that fits.
    ConnectionEnd {
        /// At least one message was taken.
        Accepted = "accepted", "mail accepted", Good;
        /// Something was refused, and nothing taken.
        Refused = "refused", "refused by a rule", Refused;
        /// postscreen kept it, or sent it away.
        Screened = "screened", "kept out before the server (postscreen)", Refused;
        /// Logged in, without mail.
        LoggedIn = "logged_in", "logged in, no mail", Plain;
        /// Tried to log in, and couldn't.
        LoginFailed = "login_failed", "log-in failed, no mail", Refused;
        /// The TLS hand-shake failed.
        TlsFailed = "tls_failed", "TLS failed, no mail", Bad;
        /// Broken off by either side.
        Broken = "broken", "broken off, no mail", Plain;
        /// Came and went.
        WithoutMail = "without_mail", "no mail", Plain;
        /// The log ends before the connection does, or its end is missing.
        Open = "open", "end not in this log", Plain;
    }
}

ends! {
    /// What became of a message.
    MessageEnd {
        /// To all recipients.
        Delivered = "delivered", "delivered", Good;
        /// To some; the others' was returned.
        Partly = "partly", "delivered to some, returned for others", Bad;
        /// Returned.
        Bounced = "bounced", "returned (bounced)", Bad;
        /// Returned after too long a time in the queue.
        Expired = "expired", "returned after too long in the queue", Bad;
        /// Tried, and waiting for the next try.
        Deferred = "deferred", "still put off (deferred)", Bad;
        /// In the queue, not tried yet.
        Waiting = "waiting", "still in the queue", Plain;
        /// On hold.
        Held = "held", "on hold", Bad;
        /// Refused for what is in it.
        Refused = "refused", "refused for its content", Refused;
        /// Thrown away.
        Discarded = "discarded", "discarded", Refused;
        /// Taken out by hand.
        Deleted = "deleted", "deleted by hand", Plain;
        /// The client went before the message's end.
        Unfinished = "unfinished", "never came whole", Plain;
        /// It left the queue, and why isn't in this log.
        Unknown = "unknown", "gone, its deliveries not in this log", Plain;
    }
}

ends! {
    /// How a message came.
    Origin {
        /// From a client that had not logged in.
        Client = "client", "from clients", Plain;
        /// From one that had.
        LoggedIn = "logged_in", "from clients that logged in", Plain;
        /// From a program of this machine (sendmail).
        Local = "local", "from this machine's programs", Plain;
        /// Made here: bounces, notices, forwarded mail.
        Made = "made", "made here (bounces, forwarded)", Plain;
        /// It came before this log begins.
        Before = "before", "came before this log", Plain;
    }
}
