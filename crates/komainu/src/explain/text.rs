//! A played session as a tree for people, with or without colours.

use super::Stand;
use super::log_line::Found;
use super::outcomes::Otherwise;
use super::parameters::behind;
use super::visit::{Nameless, Visit};
use super::walk::{Asked, Exchange, Told, Walk};
use config::{Parameters, Place};
use policy::{Answer, Effect, MailEffect, Outcome, Question, Record, Stage};
use std::fmt::Write;

/// Members of a list that are named after the one that decided.
const UNREACHED_MAX: usize = 6;
/// A parameter's value is cut after so many characters.
const VALUE_CHARS_MAX: usize = 60;

/// Whether escape sequences for colours are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// Plain text.
    Plain,
    /// ANSI colours.
    Colours,
}

#[derive(Clone, Copy)]
enum Tone {
    Good,
    Bad,
    Doubt,
    Faint,
    Strong,
}

impl Ink {
    fn paint(self, tone: Tone, text: &str) -> String {
        let code = match (self, tone) {
            (Ink::Plain, _) => return text.to_owned(),
            (_, Tone::Good) => "32",
            (_, Tone::Bad) => "31;1",
            (_, Tone::Doubt) => "33",
            (_, Tone::Faint) => "2",
            (_, Tone::Strong) => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// The whole session.
#[must_use]
pub fn render(visit: &Visit, walk: &Walk, parameters: &Parameters, ink: Ink) -> String {
    let mut out = String::new();
    let name = visit.name.as_deref().map(|name| format!(" ({name})")).unwrap_or_default();
    // Writing to a string can't fail.
    let _ = writeln!(out, "{}", ink.paint(Tone::Strong, &format!("client {}{name}", visit.client)));
    for gap in visit.gaps() {
        let _ = writeln!(out, "{}", ink.paint(Tone::Faint, &format!("({gap})")));
    }
    for exchange in &walk.exchanges {
        render_exchange(exchange, parameters, ink, &mut out);
    }
    out
}

fn render_exchange(exchange: &Exchange, parameters: &Parameters, ink: Ink, out: &mut String) {
    let command = if exchange.command.is_empty() { "(connects)" } else { &exchange.command };
    let _ = writeln!(out, "\n{} {}", ink.paint(Tone::Faint, ">"), ink.paint(Tone::Strong, command));
    for asked in &exchange.asked {
        let _ = writeln!(out, "    {}", question(asked, ink));
    }
    let mut stage = None;
    for told in &exchange.steps {
        if stage != Some(told.step.stage) {
            stage.iter().for_each(|stage| unreached(exchange, *stage, ink, out));
            stage = Some(told.step.stage);
            heading(told.step.stage, parameters, ink, out);
        }
        render_step(told, parameters, ink, out);
    }
    stage.iter().for_each(|stage| unreached(exchange, *stage, ink, out));
    if let Some(beyond) = &exchange.beyond {
        let _ = writeln!(out, "  {}", ink.paint(Tone::Doubt, beyond));
    }
    if let (Some(waiting), true) = (exchange.waits, exchange.steps.is_empty()) {
        let text = format!("{} waits for RCPT (smtpd_delay_reject = yes)", waiting.parameter());
        let _ = writeln!(out, "    {}", ink.paint(Tone::Faint, &text));
    }
    for reply in &exchange.replies {
        let tone = match reply.as_bytes().first() {
            Some(b'2' | b'3') => Tone::Good,
            Some(b'4') => Tone::Doubt,
            _ => Tone::Bad,
        };
        let _ = writeln!(out, "{} {}", ink.paint(Tone::Faint, "<"), ink.paint(tone, reply));
    }
    for line in &exchange.log {
        let _ = writeln!(out, "{} {line}", ink.paint(Tone::Faint, "log:"));
    }
}

/// What stands in the list behind the check that ended it.
fn unreached(exchange: &Exchange, stage: Stage, ink: Ink, out: &mut String) {
    let Some(unreached) = exchange.unreached.iter().find(|unreached| unreached.stage == stage) else {
        return;
    };
    let mut names: Vec<&str> = unreached.checks.iter().take(UNREACHED_MAX).map(String::as_str).collect();
    if unreached.checks.len() > UNREACHED_MAX {
        names.push("…");
    }
    let _ = writeln!(out, "    {}", ink.paint(Tone::Faint, &format!("not reached: {}", names.join(", "))));
}

fn heading(stage: Stage, parameters: &Parameters, ink: Ink, out: &mut String) {
    let name = stage.parameter();
    let place = parameters.raw(name).map(|raw| raw.place);
    let place = place.as_ref().map_or_else(|| "(default)".to_owned(), short);
    let _ = writeln!(out, "  {} {}", ink.paint(Tone::Strong, name), ink.paint(Tone::Faint, &place));
}

fn render_step(told: &Told, parameters: &Parameters, ink: Ink, out: &mut String) {
    let step = &told.step;
    let indent = "    ".to_owned() + &"  ".repeat(usize::from(step.depth));
    let (tone, word) = outcome(&step.outcome);
    let pad = 46_usize.saturating_sub(step.check.chars().count()).max(1);
    let place = if step.place.file.is_some() { short(&step.place) } else { "(default)".to_owned() };
    let _ = writeln!(
        out,
        "{indent}{}{}{} {}",
        step.check,
        " ".repeat(pad),
        ink.paint(tone, &word),
        ink.paint(Tone::Faint, &place)
    );
    for asked in &told.asked {
        let _ = writeln!(out, "{indent}  {}", question(asked, ink));
    }
    if let Some(line) = &step.line {
        // A policy service, and a table that answers alike for all, has no key.
        let text = match line.key.as_str() {
            "" => format!("{} answers {}", line.table, line.value),
            key => format!("{} has {key}: {}", line.table, line.value),
        };
        let _ = writeln!(out, "{indent}  {text} {}", ink.paint(Tone::Faint, &short(&line.place)));
    }
    if let Some(remark) = &step.remark {
        let _ = writeln!(out, "{indent}  {remark}");
    }
    for name in behind(&step.check) {
        let value = parameters.text(name);
        let shown: String = value.value.chars().take(VALUE_CHARS_MAX).collect();
        let more = if shown.len() < value.value.len() { "…" } else { "" };
        let place = parameters.raw(name).map_or_else(|| "default".to_owned(), |raw| short(&raw.place));
        let text = format!("{name} = {shown}{more} ({place})");
        let _ = writeln!(out, "{indent}  {}", ink.paint(Tone::Faint, &text));
    }
}

fn outcome(outcome: &Outcome) -> (Tone, String) {
    match outcome {
        Outcome::Dunno => (Tone::Faint, "goes on".to_owned()),
        Outcome::Permit => (Tone::Good, "permits: the rest of this list isn't asked".to_owned()),
        Outcome::Reject(reply) => (Tone::Bad, format!("refuses: {reply}")),
        Outcome::WouldReject(reply) => (Tone::Doubt, format!("would refuse (warn_if_reject): {reply}")),
        Outcome::DeferIfPermit(reply) => (Tone::Doubt, format!("defers, should the rest permit: {reply}")),
        Outcome::DeferIfReject(reply) => (Tone::Doubt, format!("defers, should the rest refuse: {reply}")),
        Outcome::Nested => (Tone::Faint, "goes on with:".to_owned()),
        Outcome::Skipped(why) => (Tone::Doubt, format!("passed over: {why}")),
        Outcome::Did(effect) => (Tone::Doubt, effect_text(effect)),
    }
}

/// What was done to the mail, in a few words.
#[must_use]
pub fn effect_text(effect: &MailEffect) -> String {
    match effect {
        MailEffect::Hold(..) => "would put it on hold".to_owned(),
        MailEffect::Discard(_) => "would accept it and throw it away".to_owned(),
        MailEffect::Filter(to) => format!("would send it through {to}"),
        MailEffect::Redirect(to) => format!("would send it to {to} instead"),
        MailEffect::Bcc(to) => format!("would send a copy to {to}"),
        MailEffect::Prepend(line) => format!("would put a header on top: {line}"),
    }
}

fn question(asked: &Asked, ink: Ink) -> String {
    let text = format!("{} → {}", question_text(&asked.question), answer_text(&asked.answer));
    if asked.assumed {
        format!("{text} {}", ink.paint(Tone::Doubt, "(assumed)"))
    } else {
        ink.paint(Tone::Faint, &text)
    }
}

/// What was asked, in a few words.
#[must_use]
pub fn question_text(question: &Question) -> String {
    match question {
        Question::HostName(address) => format!("name of {address}"),
        Question::HostAddresses(name) => format!("addresses of {name}"),
        Question::Dns { name, kind } => format!("{} of {name}", format!("{kind:?}").to_ascii_uppercase()),
        Question::ZoneHealth(zone) => format!("is {zone} to be believed"),
        Question::Lookup { table, key } => format!("{table} at {key}"),
        Question::Effect { effect: Effect::Sleep(time), .. } => format!("sleep {} s", time.as_secs()),
        Question::Effect { effect: Effect::PolicyService { .. }, .. } => "policy service".to_owned(),
        Question::Effect { effect: Effect::Verify { address, .. }, .. } => format!("probe of {address}"),
    }
}

/// What was answered, in a few words.
#[must_use]
pub fn answer_text(answer: &Answer) -> String {
    match answer {
        Answer::Records(records) => records.iter().map(record_text).collect::<Vec<_>>().join(", "),
        Answer::NoName => "no such name".to_owned(),
        Answer::NoRecords => "no such records".to_owned(),
        Answer::Unavailable(why) => format!("no answer ({why})"),
        Answer::Invalid(why) => format!("unusable ({why})"),
        Answer::Names(names) => names.join(", "),
        Answer::Addresses(addresses) => {
            addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        }
        Answer::Healthy(true) => "yes".to_owned(),
        Answer::Healthy(false) => "no".to_owned(),
        Answer::Value(Some(value)) => value.clone(),
        Answer::Value(None) => "nothing".to_owned(),
        Answer::Failed(why) => format!("failed ({why})"),
        Answer::Done => "done (not waited for here)".to_owned(),
        Answer::Action(action) => action.clone(),
        Answer::Verified(verified) => verified.text.clone(),
    }
}

fn record_text(record: &Record) -> String {
    match record {
        Record::A(address) => address.to_string(),
        Record::Aaaa(address) => address.to_string(),
        Record::Mx { preference, host } => format!("{preference} {host}"),
        Record::Ns(name) | Record::Ptr(name) | Record::Cname(name) => name.clone(),
        Record::Txt(text) => format!("\"{text}\""),
        Record::Soa { primary, .. } => primary.clone(),
    }
}

/// `main.cf:14`: the file's name and line.
#[must_use]
pub fn short(place: &Place) -> String {
    match place.path() {
        Some(path) => format!("{}:{}", path.display(), place.line()),
        None => "built in".to_owned(),
    }
}

/// The other ways the session might go.
#[must_use]
pub fn render_otherwise(found: &[Otherwise], untried: usize, ink: Ink) -> String {
    let mut out = String::new();
    if found.is_empty() {
        return out;
    }
    let _ = writeln!(out, "\n{}", ink.paint(Tone::Strong, "It would go otherwise if"));
    for other in found {
        for (question, answer) in &other.besides {
            let _ = writeln!(out, "  {} → {}, and", question_text(question), answer_text(answer));
        }
        let _ = writeln!(
            out,
            "  {} → {}\n      {} {}",
            question_text(&other.question),
            answer_text(&other.answer),
            ink.paint(Tone::Faint, if other.command.is_empty() { "(connects)" } else { &other.command }),
            ink.paint(Tone::Bad, &other.reply),
        );
    }
    if untried > 0 {
        let _ = writeln!(out, "  ({untried} more unknown answers were not tried)");
    }
    out
}

/// Who made a logged line, and what must have been true then.
#[must_use]
pub fn render_line(stand: &Stand, found: &Found) -> String {
    let mut out = String::new();
    match &found.told {
        Some(told) => {
            let step = &told.step;
            let place = if step.place.file.is_some() { short(&step.place) } else { "(default)".to_owned() };
            let _ = writeln!(out, "  made by   {}", step.check);
            let _ = writeln!(out, "  in        {} {place}", step.stage.parameter());
            if let Some(line) = &step.line {
                let _ = writeln!(out, "  by line   {} {} {}", short(&line.place), line.key, line.value);
            }
        }
        None => out.push_str("  made by   the server itself, no restriction list: see below\n"),
    }
    let _ = writeln!(out, "  service   {} (logs as {})", stand.listener.name, stand.listener.program);
    let mut word = "because  ";
    if let Some(then) = &found.then {
        word = "then     ";
        let unlike = !then.there.is_empty() || !found.supposed.is_empty();
        let said = if unlike { ": then, the DNS must have said what follows" } else { "" };
        let _ = writeln!(out, "  today     the answers lead elsewhere{said}");
        for (question, answer) in &then.there {
            let (question, answer) = (question_text(question), answer_text(answer));
            let _ = writeln!(out, "  then      {question} was there (today: {answer})");
        }
    }
    for (question, answer) in &found.supposed {
        let _ = writeln!(out, "  {word} {} → {}", question_text(question), answer_text(answer));
    }
    if found.nameless.len() == Nameless::ALL.len() {
        out.push_str("  unknown   for whatever reason: the reply is the same\n");
    } else if !found.nameless.is_empty() {
        let words: Vec<&str> = found.nameless.iter().map(|nameless| nameless.words()).collect();
        let _ = writeln!(out, "  unknown   {}", words.join("; or "));
    }
    out
}
