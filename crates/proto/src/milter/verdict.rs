//! What a filter's answers mean: for the command, for the message, for the rest of the session.
//!
//! A [`Standing`] is one filter's in one session. Texts are Postfix's. What is refused at CONNECT or HELO stays refused;
//! a filter that accepts a session or a message hears no more of it; one that failed is replaced by what
//! `milter_default_action` says.

use super::{Answer, Stage};
use mail::{Dsn, Reply};

/// What an answer amounts to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Refused with this, as it stands in the log: code, DSN, and text whose lines are parted by CRLF.
    Refused(String),
    /// Taken and thrown away.
    Discard,
    /// Taken and held.
    Hold,
}

/// `milter_default_action`: what is done without a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DefaultAction {
    /// Mail goes past it unseen.
    Accept,
    /// 550.
    Reject,
    /// 451.
    TempFail,
    /// The message is held.
    Quarantine,
    /// 421, and the session ends.
    Shutdown,
    /// A word that the version of Postfix doesn't know which is served: 451.
    Unrecognized(String),
}

impl DefaultAction {
    /// The words of main.cf.
    #[must_use]
    pub fn from_word(word: &str) -> Option<DefaultAction> {
        Some(match word {
            "accept" => DefaultAction::Accept,
            "reject" => DefaultAction::Reject,
            "tempfail" => DefaultAction::TempFail,
            "quarantine" => DefaultAction::Quarantine,
            "shutdown" => DefaultAction::Shutdown,
            _ => return None,
        })
    }

    fn outcome(&self) -> Option<Outcome> {
        let refused = |text: &str| Some(Outcome::Refused(text.to_owned()));
        match self {
            DefaultAction::Accept => None,
            DefaultAction::Reject => refused("550 5.5.0 Service unavailable"),
            DefaultAction::TempFail => refused(TEMPFAIL),
            DefaultAction::Quarantine => Some(Outcome::Hold),
            DefaultAction::Shutdown => refused(SHUTDOWN),
            DefaultAction::Unrecognized(_) => refused(MISCONFIGURED),
        }
    }
}

const REJECT: &str = "550 5.7.1 Command rejected";
const TEMPFAIL: &str = "451 4.7.1 Service unavailable - try again later";
const MISCONFIGURED: &str = "451 4.3.5 Server configuration problem - try again later";
const SHUTDOWN: &str = "421 4.7.0 Server closing connection";

/// How a filter stands to a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum State {
    /// Hears everything.
    #[default]
    Listens,
    /// Has seen enough of this message.
    MessageDone,
    /// Has seen enough of this session, which stays as it decided.
    SessionDone(Option<Outcome>),
    /// Is not there any more.
    Failed(Option<Outcome>),
}

/// One filter's part in a session.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    state: State,
    greeted: bool,
    /// It has had the message held, or, before there was one, whatever comes.
    holds: Option<Stage>,
}

/// What is to be done about an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Nothing: go on.
    Nothing,
    /// No more of the body.
    Skip,
    /// This comes of it.
    Outcome(Outcome),
    /// The answer is against the rules: say the warning; the filter has failed.
    Broken(String),
    /// The answer is ignored, with a warning.
    Ignored(&'static str),
}

impl Standing {
    /// Whether it is to be told anything now.
    #[must_use]
    pub fn listens(&self) -> bool {
        self.state == State::Listens
    }

    /// Whether the connection is of use.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        matches!(self.state, State::Listens | State::MessageDone)
    }

    /// Whether HELO or more was said: then a message is ended with the connection.
    #[must_use]
    pub const fn is_greeted(&self) -> bool {
        self.greeted
    }

    /// What stands without asking: decided for the whole session.
    #[must_use]
    pub fn standing(&self) -> Option<Outcome> {
        match &self.state {
            State::SessionDone(outcome) | State::Failed(outcome) => outcome.clone(),
            State::Listens | State::MessageDone => None,
        }
    }

    /// It was told of an event.
    pub fn told(&mut self, stage: Stage) {
        self.greeted |= !matches!(stage, Stage::Connect);
    }

    /// The message is over.
    pub fn message_over(&mut self) {
        if self.state == State::MessageDone {
            self.state = State::Listens;
        }
        self.holds = self.holds.filter(|stage| matches!(stage, Stage::Connect | Stage::Helo));
    }

    /// It can't be asked any more; what is done without it.
    pub fn fail(&mut self, action: &DefaultAction) -> Option<Outcome> {
        let outcome = action.outcome();
        self.state = State::Failed(outcome.clone());
        outcome
    }

    /// It speaks another protocol than the administrator thinks.
    pub fn misconfigured(&mut self) -> Outcome {
        let outcome = Outcome::Refused(MISCONFIGURED.to_owned());
        self.state = State::Failed(Some(outcome.clone()));
        outcome
    }

    /// It has mail held before the message's end; its answer is still to come.
    pub fn hold(&mut self, stage: Stage) {
        self.holds.get_or_insert(stage);
    }

    /// Whether that is said again at this event: at each command from there on.
    #[must_use]
    pub fn holds_at(&self, stage: Stage) -> bool {
        let is_content =
            matches!(stage, Stage::Header | Stage::EndOfHeader | Stage::Body | Stage::EndOfMessage);
        self.holds.is_some_and(|since| !is_content || since == stage)
    }

    /// Judges an answer to an event.
    pub fn judge(&mut self, stage: Stage, answer: &Answer) -> Judgement {
        let of_session = matches!(stage, Stage::Connect | Stage::Helo);
        let refused = match answer {
            Answer::Continue | Answer::Progress | Answer::Change(_) => return Judgement::Nothing,
            Answer::Skip if stage == Stage::Body => return Judgement::Skip,
            // As CONTINUE, with Postfix too.
            Answer::Skip => return Judgement::Nothing,
            Answer::Accept => {
                self.state = if of_session { State::SessionDone(None) } else { State::MessageDone };
                return Judgement::Nothing;
            }
            Answer::Discard if of_session => {
                return Judgement::Ignored("DISCARD action is not allowed for connect or helo");
            }
            Answer::Discard => {
                self.state = State::MessageDone;
                return Judgement::Outcome(Outcome::Discard);
            }
            Answer::Reject => REJECT.to_owned(),
            Answer::TempFail => TEMPFAIL.to_owned(),
            Answer::Shutdown => {
                self.state = State::Failed(Some(Outcome::Refused(SHUTDOWN.to_owned())));
                return Judgement::Outcome(Outcome::Refused(SHUTDOWN.to_owned()));
            }
            Answer::ConnectionFailed => {
                let name = (answer.name(), stage.name());
                return Judgement::Broken(format!(
                    "unexpected filter response {} after event {}",
                    name.0, name.1
                ));
            }
            Answer::Reply(text) => match reply_text(text) {
                Some(text) => text,
                None => {
                    let shown = printable(text);
                    self.misconfigured();
                    return Judgement::Broken(format!("malformed reply: {shown}"));
                }
            },
        };
        let outcome = Outcome::Refused(refused);
        if of_session {
            self.state = State::SessionDone(Some(outcome.clone()));
        }
        Judgement::Outcome(outcome)
    }
}

/// A filter's reply where it is one: 4xx or 5xx; `%%` is `%`, a lone one is dropped with what can't follow it.
fn reply_text(text: &[u8]) -> Option<String> {
    let text = mail::legible(text, '?');
    let bytes = text.as_bytes();
    let code = bytes.get(..3)?;
    let is_refusal = matches!(code.first()?, b'4' | b'5') && code.iter().all(u8::is_ascii_digit);
    let parted = matches!(bytes.get(3), None | Some(b' ' | b'-'));
    if !is_refusal || !parted {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '%' && chars.next_if_eq(&'%').is_none() {
            continue;
        }
        out.push(c);
    }
    Some(out)
}

/// The reply for the client that a refusal's text stands for: several lines have their code in front of each.
#[must_use]
pub fn reply(refused: &str) -> Reply {
    let mut code = 451;
    let mut dsn = None;
    let mut lines = Vec::new();
    for (at, line) in refused.split("\r\n").enumerate() {
        let (number, rest) = line.split_at_checked(3).unwrap_or((line, ""));
        let rest = rest.strip_prefix([' ', '-']).unwrap_or(rest);
        let (own, text) = match Dsn::parse_prefix(rest) {
            Some((own, text)) => (Some(own), text.strip_prefix(' ').unwrap_or(text)),
            None => (None, rest),
        };
        if at == 0 {
            code = number.parse().unwrap_or(451);
            dsn = own;
        }
        lines.push(text);
    }
    Reply { code, dsn, text: lines.join("\n") }
}

/// What of a filter's text may stand in a log.
fn printable(text: &[u8]) -> String {
    let shown = |byte: &u8| if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '?' };
    text.iter().take(100).map(shown).collect()
}
