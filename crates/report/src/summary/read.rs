//! What each line means for the tally.

use super::messages::{self, Message};
use super::rules::{self, Rule};
use super::sessions::Counters;
use super::tally::{Tally, Unsized, domain};
use crate::Day;
use crate::day::Moment;
use crate::scan;
use events::check::{Action, ContentCheck, ProxyAction, ProxyVerdict, Verdict};
use events::delivery::{Delivery, Status};
use events::fail2ban::{BanEvent, BanLine, Deed};
use events::foreign::{DovecotFailed, Greylisted};
use events::judged::{DkimEnd, DmarcEnd};
use events::line::Envelope;
use events::own::{Matter, Own};
use events::queue::Queued;
use events::screen::{Outcome, ScreenOutcome, ScreenReject, Violation, ZoneAnswers};
use events::smtpd::{Disconnect, Peer, Received, SaslFailed};
use events::tls::{Direction, TlsFailed};
use events::{Event, Severity, text};
use std::net::IpAddr;

/// Who writes what became of recipients.
const AGENTS: [&str; 10] =
    ["smtp", "lmtp", "virtual", "local", "pipe", "error", "retry", "discard", "relay", "qmgr"];

/// Where a line comes from.
#[derive(Clone, Copy)]
struct Head<'a> {
    at: Moment,
    seconds: i64,
    host: &'a str,
    program: &'a str,
    /// The last part of the program's name: `smtpd`.
    service: &'a str,
    pid: &'a str,
}

impl Tally {
    /// Counts a line, without its end: as syslog writes it, this program's JSON, or the journal's.
    pub fn feed(&mut self, line: &[u8]) {
        // A log that went by way of Windows.
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match events::json::plain(line, self.settings.offset) {
            Some(plain) => self.feed_plain(plain.as_bytes()),
            None => self.feed_plain(line),
        }
    }

    fn feed_plain(&mut self, line: &[u8]) {
        self.lines.read += 1;
        let Some((at, _)) = Moment::parse(line, self.settings.today) else {
            return self.ban_line(line);
        };
        let Some(at) = at.of_the_calendar(line) else {
            self.lines.broken += 1;
            return;
        };
        if self.is_other_day(at.day) {
            self.lines.other_days += 1;
            return;
        }
        let printable = text::printable(line);
        let Some((envelope, said)) = Envelope::parse(&printable) else {
            self.lines.broken += 1;
            return;
        };
        let Envelope { host, program, pid, .. } = envelope;
        let service = program.rsplit('/').next().unwrap_or(program);
        let pid = pid.map(|pid| pid.to_string()).unwrap_or_default();
        // A leap second is of its own hour.
        let seconds = Moment { second: at.second.min(59), ..at }.seconds();
        let head = Head { at, seconds, host, program, service, pid: &pid };
        self.seen(at);
        let said = said.get(said.len() - scan::untagged(said.as_bytes()).len()..).unwrap_or(said);
        let short = (said.len() > Event::TEXT_MAX).then(|| in_short(program, said));
        let event = Event::parse(program, short.as_deref().unwrap_or(said));
        if self.event(&head, &event) {
            self.lines.counted += 1;
        } else {
            self.lines.passed_over += 1;
        }
    }

    fn is_other_day(&self, day: Day) -> bool {
        self.settings.days.is_some_and(|(first, last)| day < first || day > last)
    }

    fn seen(&mut self, at: Moment) {
        self.span = Some(self.span.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
    }

    /// A line of fail2ban's own log.
    fn ban_line(&mut self, line: &[u8]) {
        let printable = text::printable(line);
        let Some(line) = BanLine::parse(&printable) else {
            self.lines.broken += 1;
            return;
        };
        let clock = line.time.clock;
        let day = Day { year: line.time.year, month: clock.month, day: clock.day };
        if self.is_other_day(day) {
            self.lines.other_days += 1;
            return;
        }
        self.seen(Moment { day, hour: clock.hour, minute: clock.minute, second: clock.second });
        let BanEvent::Ticket(ticket) = &line.event else {
            self.lines.passed_over += 1;
            return;
        };
        self.lines.counted += 1;
        match ticket.deed {
            Deed::Found => self.bans.found += 1,
            Deed::Ban => {
                self.bans.banned += 1;
                self.bans.jails.add(&ticket.jail, 0);
                self.bans.networks.add(&network(&ticket.id), 0);
            }
            Deed::RestoreBan => self.bans.restored += 1,
            Deed::Unban => self.bans.lifted += 1,
            Deed::Ignore | Deed::IncreaseBan => {}
        }
    }

    /// Counts an event; false where it means nothing here.
    fn event(&mut self, head: &Head<'_>, event: &Event<'_>) -> bool {
        if event.severity() >= Severity::Warning && is_trouble(event) {
            let text = format!("{}: {}", head.service, without_numbers(&event.to_string()));
            self.trouble.add(&text, 0);
            if event.severity() == Severity::Critical {
                self.fatal.add(&text, 0);
            }
        }
        match event {
            Event::Connect(connect) => {
                let key = self.session_key(head, &connect.client);
                self.sessions.begin(key, head.seconds);
            }
            Event::Disconnect(disconnect) => self.disconnected(head, disconnect),
            Event::Broken(broken) => {
                let key = self.session_key(head, &broken.client);
                self.sessions.of(key, head.seconds, |session| session.broken = true);
            }
            Event::Received(received) => self.received(head, received),
            Event::Verdict(verdict) => self.verdict(head, verdict),
            Event::ProxyVerdict(verdict) => self.proxied(head, verdict),
            Event::ContentCheck(check) => self.content(head, check),
            Event::SaslFailed(failed) => self.login_failed(head, failed),
            Event::TlsEstablished(tls) => {
                let [incoming, outgoing, _] = &mut self.tls;
                let table = if tls.direction == Direction::From { incoming } else { outgoing };
                table.add(&tls.protocol, 0);
            }
            Event::TlsFailed(failed) => self.tls_failed(head, failed),
            Event::PickedUp(picked) => {
                self.arrived(head);
                self.message(head, &picked.id).flags |= messages::PICKED_UP;
            }
            Event::MessageId(id) => self.message(head, &id.id).flags |= messages::CLEANED,
            Event::Queued(queued) => self.queued(head, queued),
            Event::Delivery(delivery) => self.delivery(head, delivery),
            Event::Notified(notified) => self.made(head, &notified.notification),
            Event::Expired(expired) => self.message(head, &expired.id).flags |= messages::EXPIRED,
            Event::Removed(removed) => {
                let flags = if head.service == "postsuper" { messages::DELETED } else { 0 };
                let key = self.key(&[head.host, &removed.id]);
                self.messages.gone(key, head.seconds, flags);
            }
            Event::ScreenConnect(_) | Event::ScreenViolation(_) => self.screening(head, event),
            Event::ScreenOutcome(outcome) => self.screened(head, outcome),
            Event::ScreenReject(reject) => self.screen_refused(head, reject),
            Event::Listed(listed) => self.listed_by(&listed.address, &listed.domain),
            Event::ZoneAnswers(answers) => self.zone_answered(answers),
            Event::Greylisted(greylisted) => self.greylisted(greylisted),
            Event::DovecotFailed(failed) => self.dovecot_failed(failed),
            Event::SshdFailed(failed) => {
                let method = format!("{} {}", head.service, failed.method);
                self.attack(1, &failed.address, Some(&failed.user), &method);
            }
            Event::DkimSigned(_)
            | Event::DkimJudged(_)
            | Event::DmarcJudged(_)
            | Event::SpfJudged(_)
            | Event::Authenticity(_) => self.judged(event),
            Event::Own(own) => self.own(own),
            Event::Other(text) => return self.other(head, text),
            _ => {}
        }
        true
    }

    fn tls_failed(&mut self, head: &Head<'_>, failed: &TlsFailed<'_>) {
        let [_, _, table] = &mut self.tls;
        let whose = if failed.direction == Direction::From { "clients" } else { "servers" };
        table.add(&format!("{whose}: {}", failed.reason), 0);
        if failed.direction == Direction::From {
            let key = self.session_key(head, &failed.peer);
            self.sessions.of(key, head.seconds, |session| session.tls_failed = true);
        }
    }

    fn queued(&mut self, head: &Head<'_>, queued: &Queued<'_>) {
        let message = self.message(head, &queued.id);
        let first = message.flags & messages::QUEUED == 0;
        let came = message.came();
        message.flags = (message.flags | messages::QUEUED) & !messages::HELD;
        message.size = queued.size;
        message.recipients = message.recipients.max(u32::try_from(queued.nrcpt).unwrap_or(u32::MAX));
        if first && came {
            self.received_bytes(&queued.from, queued.size);
        } else if first {
            let key = self.key(&[head.host, &queued.id]);
            let sender = super::top::shortened(&queued.from).into();
            self.sized(Unsized::Queued { key, sender, size: queued.size });
        }
    }

    fn screening(&mut self, head: &Head<'_>, event: &Event<'_>) {
        match event {
            Event::ScreenConnect(connect) => {
                let key = self.key(&[head.host, "screen", &connect.client.to_string()]);
                self.sessions.screening_begins(key, head.seconds);
            }
            Event::ScreenViolation(violation) => {
                let key = self.key(&[head.host, "screen", &violation.client.to_string()]);
                let why = screen_rule(violation.violation);
                self.sessions.of(key, head.seconds, |session| {
                    session.screened = true;
                    session.rule.get_or_insert_with(|| Box::new(why));
                });
            }
            _ => {}
        }
    }

    fn session_key(&self, head: &Head<'_>, client: &Peer<'_>) -> u64 {
        let port = client.port.map(|port| port.to_string()).unwrap_or_default();
        self.key(&[head.host, head.program, head.pid, &client.address, &port])
    }

    fn message(&mut self, head: &Head<'_>, id: &str) -> &mut Message {
        let key = self.key(&[head.host, id]);
        self.messages.of(key, head.seconds)
    }

    /// A message that comes from here, as another's line says.
    fn made(&mut self, head: &Head<'_>, id: &str) {
        let key = self.key(&[head.host, id]);
        self.messages.made(key);
    }

    fn arrived(&mut self, head: &Head<'_>) {
        self.counts.received += 1;
        self.slot(head.at).received += 1;
    }

    fn disconnected(&mut self, head: &Head<'_>, disconnect: &Disconnect<'_>) {
        let mut counters = Counters::default();
        for counter in disconnect.counters() {
            counters.known = true;
            match counter.name {
                "data" | "bdat" => counters.messages += u64::from(counter.accepted),
                "auth" => {
                    counters.logins += u64::from(counter.accepted);
                    counters.logins_tried += u64::from(counter.total);
                }
                _ => {}
            }
        }
        let key = self.session_key(head, &disconnect.client);
        if let Some(ended) = self.sessions.end(key, head.seconds, counters) {
            self.ended(&ended);
        }
        self.settle_client(&disconnect.client.address);
    }

    fn received(&mut self, head: &Head<'_>, received: &Received<'_>) {
        let logged_in = received.sasl_username.is_some() || received.sasl_method.is_some();
        let key = self.session_key(head, &received.client);
        let (mut marks, mut begun) = (0, true);
        self.sessions.of(key, head.seconds, |session| {
            session.received = true;
            session.logged_in |= logged_in;
            marks = session.marks();
            begun = session.begun;
        });
        self.arrived(head);
        if received.id == Verdict::NO_QUEUE {
            return;
        }
        let message = self.message(head, &received.id);
        message.flags |= messages::RECEIVED | marks | if logged_in { messages::LOGGED_IN } else { 0 };
        message.session = key;
        if !begun {
            let message = self.key(&[head.host, &received.id]);
            self.sized(Unsized::Came { key: message, session: key });
        }
    }

    fn verdict(&mut self, head: &Head<'_>, verdict: &Verdict<'_>) {
        let has_id = verdict.id != Verdict::NO_QUEUE;
        match verdict.action {
            Action::Reject | Action::MilterReject => {
                let rule = rules::of_reply(verdict.action, &verdict.text);
                self.refused(head, &rule, &verdict.text, &verdict.client.address);
                // What cleanup(8) says for a milter is about a connection that another process has.
                let is_cleanup = head.service == "cleanup";
                if has_id && (is_cleanup || verdict.stage.contains("END-OF-MESSAGE")) {
                    self.refused_message(head, &verdict.id, &rule);
                }
                if !is_cleanup {
                    let key = self.session_key(head, &verdict.client);
                    self.sessions.of(key, head.seconds, |session| {
                        session.rule.get_or_insert_with(|| Box::new(rule));
                    });
                }
            }
            Action::RejectWarning => {
                self.counts.warned += 1;
                self.rule(&rules::of_reply(verdict.action, &verdict.text)).warned += 1;
            }
            Action::Warn | Action::Warning => self.counts.warned += 1,
            Action::Hold | Action::MilterHold => {
                self.counts.held += 1;
                self.marked(head, verdict, messages::HELD);
            }
            Action::Discard | Action::MilterDiscard => {
                self.counts.discarded += 1;
                self.marked(head, verdict, messages::DISCARDED);
            }
            _ => {}
        }
    }

    /// A message is to be held or thrown away; where it has no id yet, the one that comes next is.
    fn marked(&mut self, head: &Head<'_>, verdict: &Verdict<'_>, flag: u16) {
        if verdict.id != Verdict::NO_QUEUE {
            self.message(head, &verdict.id).flags |= flag;
            return;
        }
        let key = self.session_key(head, &verdict.client);
        self.sessions.of(key, head.seconds, |session| {
            session.discards |= flag == messages::DISCARDED;
            session.holds |= flag == messages::HELD;
        });
    }

    fn proxied(&mut self, head: &Head<'_>, verdict: &ProxyVerdict<'_>) {
        if verdict.action == ProxyAction::Reject {
            let rule = Rule { name: "smtpd_proxy_filter", argument: None };
            self.refused(head, &rule, &verdict.text, "");
        }
    }

    fn content(&mut self, head: &Head<'_>, check: &ContentCheck<'_>) {
        let rule = rules::of_content(check.action, check.part);
        match check.action {
            Action::Reject | Action::MilterReject | Action::MilterHeaderReject => {
                let text = format!("5xx {}", check.text.as_deref().unwrap_or("content"));
                let client = Peer::parse(&check.source);
                let address = client.as_ref().map_or("", |client| &client.address);
                self.refused(head, &rule, &text, address);
                self.refused_message(head, &check.id, &rule);
            }
            Action::Warning | Action::MilterHeaderWarning => {
                self.counts.warned += 1;
                self.rule(&rule).warned += 1;
            }
            Action::Hold | Action::MilterHold | Action::MilterHeaderHold => {
                self.counts.held += 1;
                self.message(head, &check.id).flags |= messages::HELD;
            }
            Action::Discard | Action::MilterDiscard | Action::MilterHeaderDiscard => {
                self.counts.discarded += 1;
                self.message(head, &check.id).flags |= messages::DISCARDED;
            }
            _ => {}
        }
    }

    /// A message, and with it the connection that it came by.
    fn refused_message(&mut self, head: &Head<'_>, id: &str, rule: &Rule) {
        self.message(head, id).flags |= messages::REFUSED;
        let key = self.key(&[head.host, id]);
        self.sized(Unsized::Refused { key, rule: rule.clone() });
    }

    /// A refusal by `rule`.
    fn refused(&mut self, head: &Head<'_>, rule: &Rule, reply: &str, client: &str) {
        self.counts.refused += 1;
        self.slot(head.at).refused += 1;
        let counts = self.rule(rule);
        if reply.starts_with('4') {
            counts.temporary += 1
        } else {
            counts.permanent += 1
        }
        let reason = without_specifics(reply);
        self.refusals.add(&reason, 0);
        if !client.is_empty() {
            self.refused_networks.add(&network(client), 0);
        }
    }

    fn login_failed(&mut self, head: &Head<'_>, failed: &SaslFailed<'_>) {
        let key = self.session_key(head, &failed.client);
        self.sessions.of(key, head.seconds, |session| session.login_failed = true);
        self.attack(
            1,
            &failed.client.address,
            failed.sasl_username.as_deref(),
            &format!("{} {}", head.service, failed.mechanism),
        );
    }

    fn dovecot_failed(&mut self, failed: &DovecotFailed<'_>) {
        let user = (!failed.user.is_empty()).then_some(&*failed.user);
        let method = format!("{} {}", failed.service, failed.method.as_deref().unwrap_or("?"));
        self.attack(u64::from(failed.attempts), &failed.rip, user, &method);
    }

    fn attack(&mut self, tries: u64, address: &str, account: Option<&str>, method: &str) {
        self.logins_failed += tries;
        self.attack_networks.add_many(&network(address), tries, 0);
        self.accounts.add_many(account.unwrap_or("(not said)"), tries, 0);
        self.methods.add_many(method, tries, 0);
    }

    fn delivery(&mut self, head: &Head<'_>, delivery: &Delivery<'_>) {
        let domain = domain(&delivery.to);
        let waited = u32::try_from(delivery.delay.duration().as_secs()).unwrap_or(u32::MAX);
        let discards = head.service == "discard";
        let message = self.message(head, &delivery.id);
        message.waited = message.waited.max(waited);
        let size = message.size;
        match delivery.status {
            Status::Sent => {
                message.sent = message.sent.saturating_add(1);
                message.flags |= if discards { messages::DISCARDED } else { 0 };
                self.sent(head, delivery, &domain, size);
            }
            Status::Deferred | Status::SoftBounce => {
                message.deferred = message.deferred.saturating_add(1);
                self.counts.deferred += 1;
                self.slot(head.at).deferred += 1;
                self.deferrals.add(&without_specifics(&delivery.text), 0);
                self.waiting.add(&domain, 0);
            }
            Status::Bounced => {
                message.bounced = message.bounced.saturating_add(1);
                self.counts.bounced += 1;
                self.slot(head.at).bounced += 1;
                self.bounces.add(&without_specifics(&delivery.text), 0);
            }
            _ => {}
        }
    }

    fn sent(&mut self, head: &Head<'_>, delivery: &Delivery<'_>, domain: &str, size: u64) {
        if let Some(id) = delivery.text.strip_prefix("forwarded as ") {
            self.counts.forwarded += 1;
            self.made(head, id);
            return;
        }
        self.counts.delivered += 1;
        self.counts.bytes_delivered = self.counts.bytes_delivered.saturating_add(size);
        self.slot(head.at).delivered += 1;
        self.recipients.add(&delivery.to, size);
        self.destinations.add(domain, size);
        if size == 0 {
            let key = self.key(&[head.host, &delivery.id]);
            self.sized(Unsized::Sent { key, recipient: super::top::shortened(&delivery.to).into() });
        }
        let [whole, parts @ ..] = &mut self.delays;
        let millis =
            |delay: events::delivery::Delay| u64::try_from(delay.duration().as_millis()).unwrap_or(u64::MAX);
        whole.add(millis(delivery.delay));
        if let Some(delays) = delivery.delays {
            for (spread, delay) in parts.iter_mut().zip(delays.0) {
                spread.add(millis(delay));
            }
        }
    }

    fn screened(&mut self, head: &Head<'_>, outcome: &ScreenOutcome<'_>) {
        let key = self.key(&[head.host, "screen", &outcome.client.to_string()]);
        match outcome.outcome {
            Outcome::PassOld | Outcome::Allowlisted | Outcome::Whitelisted => {
                self.sessions.hand_on(key, head.seconds, false);
            }
            Outcome::PassNew => self.sessions.hand_on(key, head.seconds, true),
            Outcome::Denylisted | Outcome::Blacklisted => {
                let rule = Rule { name: "postscreen_access_list", argument: None };
                self.sessions.of(key, head.seconds, |session| {
                    session.screened = true;
                    session.rule.get_or_insert_with(|| Box::new(rule));
                });
            }
            Outcome::Disconnect => {
                self.settle_client(&outcome.client.address);
                // Perhaps sent away after the deep tests, to come again.
                if let Some(ended) = self.sessions.screening_ends(key, head.seconds) {
                    self.ended(&ended);
                }
            }
            Outcome::AllowlistVeto | Outcome::WhitelistVeto => {}
        }
    }

    fn screen_refused(&mut self, head: &Head<'_>, reject: &ScreenReject<'_>) {
        let rule = rules::of_screen(&reject.text);
        self.refused(head, &rule, &reject.text, &reject.client.address);
        let key = self.key(&[head.host, "screen", &reject.client.to_string()]);
        if self.sessions.has_passed(key) {
            return;
        }
        self.sessions.of(key, head.seconds, |session| {
            session.screened = true;
            session.rule.get_or_insert_with(|| Box::new(rule));
        });
    }

    fn greylisted(&mut self, line: &Greylisted<'_>) {
        let counts = &mut self.greylisting;
        match (&*line.action, &*line.reason) {
            ("greylist", reason) if reason.starts_with("early-retry") => counts.early += 1,
            ("greylist", _) => counts.delayed += 1,
            ("pass", _) => match line.delay {
                Some(delay) => counts.passed.add(delay),
                None => counts.known += 1,
            },
            _ => {}
        }
    }

    /// Who mail is from.
    fn judged(&mut self, event: &Event<'_>) {
        let [spf, dkim, dmarc, forged] = &mut self.authenticity;
        match event {
            Event::DkimSigned(_) => dkim.add("signed", 0),
            Event::DkimJudged(judged) => dkim.add(
                match judged.end {
                    DkimEnd::Good => "pass",
                    DkimEnd::Bad => "fail",
                    DkimEnd::None => "none",
                    DkimEnd::NoKey => "fail: no key",
                    DkimEnd::Revoked => "fail: key revoked",
                },
                0,
            ),
            Event::DmarcJudged(judged) => {
                dmarc.add(judged.end.as_str(), 0);
                if judged.end == DmarcEnd::Fail {
                    forged.add(&judged.domain.to_ascii_lowercase(), 0);
                }
            }
            Event::SpfJudged(judged) => spf.add(&judged.result.to_ascii_lowercase(), 0),
            Event::Authenticity(found) => {
                for (method, result) in found.each() {
                    match method {
                        "spf" => spf.add(result, 0),
                        "dkim" => dkim.add(result, 0),
                        "dmarc" => dmarc.add(result, 0),
                        _ => {}
                    }
                }
                let fails = found.each().any(|one| one == ("dmarc", "fail"));
                if let Some(author) = found.author().filter(|_| fails) {
                    forged.add(&author.to_ascii_lowercase(), 0);
                }
            }
            _ => {}
        }
    }

    fn zone_answered(&mut self, said: &ZoneAnswers<'_>) {
        if let Some(zone) = self.zone(super::top::shortened(&said.zone)) {
            let answers = zone.answers.get_or_insert_default();
            answers.queries = answers.queries.saturating_add(said.queries);
            answers.unanswered = answers.unanswered.saturating_add(said.unanswered);
            said.times().for_each(|(bound, count)| answers.add(bound, count));
        }
    }

    fn own(&mut self, own: &Own<'_>) {
        if own.matter == Matter::ZoneUnhealthy
            && let Some(zone) = self.zone(&own.subject)
        {
            zone.ill += 1;
        }
    }

    /// Texts that are no event and mean something here: what postsuper(1) did.
    fn other(&mut self, head: &Head<'_>, text: &str) -> bool {
        // Numbers that no agent writes, after some filter went over the log.
        let is_agents = AGENTS.contains(&head.service);
        if let Some(delivery) = is_agents.then(|| Delivery::read_leniently(text)).flatten() {
            self.delivery(head, &delivery);
            return true;
        }
        let Some((id, said)) = text.split_once(": ").filter(|_| head.service == "postsuper") else {
            return false;
        };
        match said {
            "removed" => {
                let key = self.key(&[head.host, id]);
                self.messages.gone(key, head.seconds, messages::DELETED);
            }
            "placed on hold" => self.message(head, id).flags |= messages::HELD,
            "released from hold" => self.message(head, id).flags &= !messages::HELD,
            _ => return false,
        }
        true
    }
}

/// Of a text that nobody searches whole: its beginning and its end, where what counts stands. A delivery that is cut
/// off within its reason is closed.
fn in_short(program: &str, text: &str) -> String {
    let part = Event::TEXT_MAX / 2 - 1;
    let head = text.get(..text.floor_char_boundary(part)).unwrap_or_default();
    let tail = text.get(text.ceil_char_boundary(text.len().saturating_sub(part))..).unwrap_or_default();
    let both = format!("{head}{tail}");
    if matches!(Event::parse(program, &both), Event::Other(_)) { format!("{head})") } else { both }
}

/// The rule behind a test of postscreen's.
fn screen_rule(violation: Violation) -> Rule {
    let name = match violation {
        Violation::Pregreet => "postscreen_greet_action",
        Violation::Pipelining => "postscreen_pipelining_action",
        Violation::BareNewline => "postscreen_bare_newline_action",
        Violation::NonSmtp => "postscreen_non_smtp_command_action",
        _ => "postscreen",
    };
    Rule { name, argument: None }
}

/// Whether a warning is about this machine, and not about a client.
fn is_trouble(event: &Event<'_>) -> bool {
    matches!(event, Event::Message(_) | Event::Own(_))
}

/// The network of an address: /24 or /64; the text itself where it is none.
pub(super) fn network(address: &str) -> String {
    let address = address.strip_prefix("IPv6:").unwrap_or(address);
    match address.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(IpAddr::V4(ip)) => {
            let [a, b, c, _] = ip.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        Ok(IpAddr::V6(ip)) => {
            let [a, b, c, d, ..] = ip.segments();
            format!("{}/64", std::net::Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        Err(_) => address.to_owned(),
    }
}

/// A reply or a reason without what differs from case to case: addresses in brackets, links, numbers of some
/// length.
fn without_specifics(text: &str) -> String {
    let text = super::top::shortened(text);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['<', '[']) {
        let (before, behind) = rest.split_at_checked(at).unwrap_or((rest, ""));
        let (open, close) = if behind.starts_with('<') { ("<…>", '>') } else { ("[…]", ']') };
        out.push_str(before);
        match behind.find(close).and_then(|end| behind.get(end + 1..)) {
            Some(after) => {
                out.push_str(open);
                rest = after;
            }
            None => {
                rest = "";
                out.push_str(open);
            }
        }
    }
    out.push_str(rest);
    if let Some(at) = out.find("http") {
        out.truncate(at);
        out.push('…');
    }
    out
}

/// A warning without numbers, so that those of one kind stand together.
fn without_numbers(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(200));
    let mut digit = false;
    for c in without_specifics(text).chars() {
        if c.is_ascii_digit() {
            if !digit {
                out.push('#');
            }
            digit = true;
        } else {
            digit = false;
            out.push(c);
        }
    }
    out
}
