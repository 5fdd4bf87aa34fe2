//! What main.cf says about reports: their words, their addresses, and how much they bring along.

use config::Parameters;
use mail::bounce_template::{Kind, Template, Templates};
use mail::{Address, QueueId, Wall};
use queue::Entry;
use queue::notice::{self, Subject};
use std::path::Path;
use std::time::Duration;
use tables::Sources;

/// The words of one kind of report.
#[derive(Clone, Debug)]
pub struct Wording {
    pub(super) from: String,
    pub(super) subject: String,
    pub(super) postmaster_subject: String,
    pub(super) text: String,
    pub(super) charset: String,
    /// What is odd about its times; said with each report, as Postfix does.
    pub(super) warnings: Vec<String>,
}

/// Everything that reports need of main.cf.
#[derive(Clone, Debug)]
pub struct Reporting {
    pub(super) hostname: String,
    pub(super) mail_name: String,
    /// Who sends the postmaster's copies.
    pub(super) double_bounce: Address,
    /// `bounce_size_limit`: larger messages are not returned, only their headers.
    pub(super) content_bytes_max: u64,
    /// `enable_threaded_bounces`.
    pub(super) threaded: bool,
    /// `maximal_queue_lifetime`.
    pub(super) lifetime: Duration,
    /// `confirm_delay_cleared`
    pub(super) confirms_delays: bool,
    /// `delay_logging_resolution_limit`: digits behind the point of a delay in the log.
    pub(super) delay_digits: u32,
    smtputf8: bool,
    long_ids: bool,
    failure: Wording,
    delay: Wording,
    success: Wording,
    trace: Wording,
}

impl Reporting {
    /// Reads the parameters and the templates; what is wrong with those is said in the second part, and they are left
    /// out.
    #[must_use]
    pub fn compile(p: &Parameters, sources: &dyn Sources) -> (Reporting, Vec<String>) {
        let (templates, mut warnings) = templates(p, sources);
        let mut wording = |kind| wording(p, templates.of(kind), &mut warnings);
        let reporting = Reporting {
            hostname: p.text("myhostname").value,
            mail_name: p.text("mail_name").value,
            double_bounce: double_bounce(p),
            content_bytes_max: u64::try_from(p.number("bounce_size_limit")).unwrap_or(0),
            threaded: p.flag("enable_threaded_bounces"),
            lifetime: p.duration("maximal_queue_lifetime"),
            confirms_delays: p.flag("confirm_delay_cleared"),
            delay_digits: u32::try_from(p.number("delay_logging_resolution_limit")).unwrap_or(0),
            smtputf8: p.flag("smtputf8_enable"),
            long_ids: p.flag("enable_long_queue_ids"),
            failure: wording(Kind::Failure),
            delay: wording(Kind::Delay),
            success: wording(Kind::Success),
            trace: wording(Kind::Verify),
        };
        (reporting, warnings)
    }

    pub(super) const fn wording(&self, subject: Subject) -> &Wording {
        match subject {
            Subject::Failure => &self.failure,
            Subject::Delay => &self.delay,
            Subject::Success => &self.success,
            Subject::Trace => &self.trace,
        }
    }

    /// Whether somebody is `double_bounce_sender`, of whatever domain.
    pub(super) fn is_double_bounce(&self, address: &Address) -> bool {
        self.double_bounce.local().eq_ignore_ascii_case(address.local())
    }

    /// A new message's queue id.
    pub(super) fn id(&self, now: Wall, number: u64) -> QueueId {
        if self.long_ids { QueueId::long(now, number) } else { QueueId::short(now, number) }
    }

    /// `Content-Transfer-Encoding:` of a report on a message. Where SMTPUTF8 is served, anything may be in it.
    pub(super) fn encoding(&self, entry: &Entry) -> Option<&'static str> {
        (self.smtputf8 || entry.body_type.is_eight_bit()).then_some("8bit")
    }
}

/// Who is told of what, for the queue's decisions.
#[must_use]
pub fn notices(p: &Parameters) -> notice::Settings {
    let classes: Vec<String> = p.list("notify_classes").into_iter().map(|word| word.value).collect();
    let recipient = |class: &str, name: &str| {
        let address = p.text(name).value;
        let is_wanted = classes.iter().any(|word| word.eq_ignore_ascii_case(class)) && !address.is_empty();
        is_wanted.then(|| Address::from_internal(address))
    };
    notice::Settings {
        delay_warning: p.duration("delay_warning_time"),
        double_bounce: double_bounce(p),
        one_bounce_for_verp: p.flag("disable_verp_bounces"),
        bounce_copies: recipient("bounce", "bounce_notice_recipient"),
        double_bounces: recipient("2bounce", "2bounce_notice_recipient"),
        delay_copies: recipient("delay", "delay_notice_recipient"),
    }
}

/// `double_bounce_sender` at this host.
fn double_bounce(p: &Parameters) -> Address {
    Address::from_internal(format!("{}@{}", p.text("double_bounce_sender").value, p.text("myhostname").value))
}

fn templates(p: &Parameters, sources: &dyn Sources) -> (Templates, Vec<String>) {
    let name = p.text("bounce_template_file").value;
    if name.is_empty() {
        return (Templates::default(), Vec::new());
    }
    let built_in =
        |why: String| (Templates::default(), vec![format!("{why}; the built-in templates are used")]);
    let bytes = match sources.read(Path::new(&name)) {
        Ok(bytes) => bytes,
        Err(error) => return built_in(format!("open {name}: {error}")),
    };
    let Ok(text) = String::from_utf8(bytes) else { return built_in(format!("{name} is not UTF-8")) };
    Templates::parse(&name, &text).unwrap_or_else(|why| built_in(why.to_string()))
}

fn wording(p: &Parameters, template: &Template, warnings: &mut Vec<String>) -> Wording {
    let mut template = template.clone();
    let mut expanded = p.bounce_text(&template);
    if let Err(why) = &expanded.text {
        warnings.push(format!("{why}; the built-in template is used"));
        warnings.append(&mut expanded.warnings);
        template = Template::built_in(template.kind);
        expanded = p.bounce_text(&template);
    }
    let is_plain = template.charset.eq_ignore_ascii_case("us-ascii");
    let charset =
        if is_plain && p.flag("smtputf8_enable") { "utf-8".to_owned() } else { template.charset.clone() };
    Wording {
        from: complete(&template.from, &p.text("myorigin").value),
        postmaster_subject: template.postmaster_subject.clone().unwrap_or_else(|| template.subject.clone()),
        subject: template.subject,
        text: expanded.text.unwrap_or_default(),
        charset,
        warnings: expanded.warnings,
    }
}

/// A header's address with `@myorigin` where it has no domain: `Name <user>` and `user (Name)`.
fn complete(header: &str, origin: &str) -> String {
    if header.contains('@') {
        return header.to_owned();
    }
    if let Some((name, rest)) = header.rsplit_once('<')
        && let Some((user, behind)) = rest.split_once('>')
    {
        return format!("{name}<{user}@{origin}>{behind}");
    }
    match header.split_once([' ', '\t']) {
        None => format!("{header}@{origin}"),
        Some((user, comment)) if comment.trim_start().starts_with('(') => {
            format!("{user}@{origin} {comment}")
        }
        Some(_) => header.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_headers() {
        let check = |header: &str, expect: &str| assert_eq!(complete(header, "x.test"), expect);
        check("Mail Delivery System <MAILER-DAEMON>", "Mail Delivery System <MAILER-DAEMON@x.test>");
        check("MAILER-DAEMON (Mail Delivery System)", "MAILER-DAEMON@x.test (Mail Delivery System)");
        check("Me <a@b>", "Me <a@b>");
        check("postmaster", "postmaster@x.test");
        check("no address here", "no address here");
    }
}
