//! main.cf's lists to a [`Policy`]: names are looked up, tables interned, zones and policy servers collected.
//!
//! Everything that Postfix would find out at the first mail (an unknown word, a table of no type) or would die of
//! (no list refuses relaying) is said here, with its place. What was wrong still compiles, to what Postfix does.

use crate::Policy;
use crate::address::{AddressClasses, Routes};
use crate::check::{Check, Entry, Plain, Subject};
use crate::dnsbl::ListZone;
use crate::parse::{self, Namespace};
use crate::service::{PolicyService, Zone, ZoneKind};
use crate::settings::Settings;
use crate::transaction::Stage;
use crate::verification::ProbeSender;
use config::{Diagnostic, Parameters, Place, Spanned};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use tables::{Catalogue, Kind, Sources, TableId, TableSpec};

const STAGES: [(Stage, parse::Default); 8] = [
    (Stage::Client, Some(Subject::Client)),
    (Stage::Helo, Some(Subject::Helo)),
    (Stage::Sender, Some(Subject::Sender)),
    (Stage::Relay, Some(Subject::Recipient)),
    (Stage::Recipient, Some(Subject::Recipient)),
    (Stage::Data, None),
    (Stage::EndOfData, None),
    (Stage::Etrn, Some(Subject::Etrn)),
];

/// Names at compile time.
struct Compiler<'c> {
    parameters: &'c Parameters,
    catalogue: &'c mut Catalogue,
    classes: HashMap<String, usize>,
    services: Vec<PolicyService>,
    zones: Vec<Arc<ListZone>>,
    said: Vec<Diagnostic>,
    table_names: HashMap<TableId, String>,
    refused: HashSet<String>,
}

impl Namespace for Compiler<'_> {
    fn table(&mut self, word: &Spanned<String>) -> Option<TableId> {
        match self.catalogue.intern(word) {
            Ok(id) => {
                self.table_names.insert(id, word.value.clone());
                Some(id)
            }
            Err(diagnostic) => {
                if self.refused.insert(word.value.clone()) {
                    self.said.push(diagnostic);
                }
                None
            }
        }
    }

    fn class(&self, name: &str) -> Option<usize> {
        self.classes.get(name).copied()
    }

    fn service(&mut self, word: &Spanned<String>) -> Result<usize, String> {
        let service =
            crate::delegate::service(word, self.parameters, &mut self.said).inspect_err(|warning| {
                self.said.push(
                    Diagnostic::error(409, word.place.clone(), warning.clone())
                        .help("write inet:host:port or unix:path; Postfix ends with a fatal error"),
                );
            })?;
        let same = |other: &PolicyService| {
            PolicyService { place: Place::nowhere(), ..other.clone() }
                == PolicyService { place: Place::nowhere(), ..service.clone() }
        };
        if let Some(index) = self.services.iter().position(same) {
            return Ok(index);
        }
        self.services.push(service);
        Ok(self.services.len() - 1)
    }

    fn maps_rbl(&self) -> Vec<Arc<ListZone>> {
        let zone = |word: Spanned<String>| ListZone::parse(&word.value, ZoneKind::Address, word.place).ok();
        self.parameters.list("maps_rbl_domains").into_iter().filter_map(zone).map(Arc::new).collect()
    }

    fn say(&mut self, diagnostic: Diagnostic) {
        self.said.push(diagnostic);
    }

    fn classes(&self) -> Vec<String> {
        self.classes.keys().cloned().collect()
    }
}

/// Names at run time: only what is there.
pub(crate) struct RunTime<'p> {
    pub(crate) policy: &'p Policy,
}

impl Namespace for RunTime<'_> {
    fn table(&mut self, _word: &Spanned<String>) -> Option<TableId> {
        None
    }

    fn class(&self, name: &str) -> Option<usize> {
        self.policy.class_names.get(name).copied()
    }

    fn service(&mut self, word: &Spanned<String>) -> Result<usize, String> {
        Err(format!("unknown policy service: {}", word.value))
    }

    fn maps_rbl(&self) -> Vec<Arc<ListZone>> {
        self.policy.maps_rbl.clone()
    }

    fn say(&mut self, _diagnostic: Diagnostic) {}

    fn classes(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Compiles; see [`Policy::compile`].
pub(crate) fn compile(
    parameters: &Parameters,
    catalogue: &mut Catalogue,
    sources: &dyn Sources,
) -> (Policy, Vec<Diagnostic>) {
    let mut said = Vec::new();
    let settings = Settings::read(parameters, catalogue, sources, &mut said);
    let (addresses, more) = AddressClasses::compile(parameters, catalogue, sources);
    said.extend(more);
    let routes = Routes::compile(parameters, catalogue);
    let names = parameters.list("smtpd_restriction_classes");
    let classes = names.iter().enumerate().map(|(index, name)| (name.value.clone(), index)).collect();
    let mut compiler = Compiler {
        parameters,
        catalogue,
        classes,
        services: Vec::new(),
        zones: Vec::new(),
        said,
        table_names: HashMap::new(),
        refused: HashSet::new(),
    };
    // What a bare table in a class means is known where the class is used.
    let bodies: Vec<Vec<Entry>> = names
        .iter()
        .map(|name| parse::entries(&parameters.list(&name.value), Some(Subject::Recipient), &mut compiler))
        .collect();
    let mut lists = BTreeMap::new();
    for (stage, default) in STAGES {
        lists.insert(stage, parse::entries(&parameters.list(stage.parameter()), default, &mut compiler));
    }
    for list in lists.values().chain(&bodies) {
        judge(list, &mut compiler);
    }
    check_recursion(&names, &bodies, &mut compiler);
    check_relay(parameters, &lists, &bodies, &mut compiler);
    let maps_rbl = compiler.maps_rbl();
    let zones = zones(&compiler.zones);
    let Compiler { services, mut said, table_names, classes: class_names, catalogue, .. } = compiler;
    let patterns = patterns(catalogue);
    let probe_sender = ProbeSender::compile(parameters, &addresses);
    let attachments =
        crate::content::attachments::compile(parameters, lists.values().chain(&bodies), &mut said);
    let policy = Policy {
        attachments,
        probe_sender,
        settings,
        addresses,
        routes,
        lists,
        classes: bodies,
        class_names,
        services,
        zones,
        maps_rbl,
        table_names,
        patterns,
        allow_untrusted_routing: parameters.flag("allow_untrusted_routing"),
    };
    (policy, said)
}

/// The tables that are asked for whole keys only.
fn patterns(catalogue: &Catalogue) -> HashSet<TableId> {
    fn is_pattern(spec: &TableSpec) -> bool {
        matches!(spec.kind, Kind::Regexp | Kind::Pcre | Kind::Cidr)
            || matches!(spec.type_name.as_str(), "tcp" | "socketmap")
            || spec.members.iter().any(is_pattern)
    }
    let ids = (0_u32..).map(TableId);
    catalogue.specs().iter().zip(ids).filter(|(spec, _)| is_pattern(spec)).map(|(_, id)| id).collect()
}

fn zones(found: &[Arc<ListZone>]) -> Vec<Zone> {
    let mut zones: Vec<Zone> = Vec::new();
    let mut seen = HashSet::new();
    for zone in found {
        if seen.insert((zone.domain.as_str(), zone.kind)) {
            zones.push(Zone { domain: zone.domain.clone(), kind: zone.kind, place: zone.place.clone() });
        }
    }
    zones
}

/// What is written so that it can't have been meant.
fn judge(list: &[Entry], compiler: &mut Compiler<'_>) {
    let mut after: Option<&Entry> = None;
    let mut warned = false;
    for entry in list {
        match &entry.check {
            Check::Blocklist { zone, .. } => {
                compiler.zones.push(Arc::clone(zone));
                if zone.filter.is_none() && zone.kind == ZoneKind::Address {
                    compiler.said.push(
                        Diagnostic::hint(
                            412,
                            zone.place.clone(),
                            format!("{} has no filter: any answer counts as a listing", zone.domain),
                        )
                        .help(format!(
                            "write the answers that the list documents, as in {}=127.0.0.[2..11]",
                            zone.domain
                        )),
                    );
                }
            }
            Check::Allowlist { zone, .. } => compiler.zones.push(Arc::clone(zone)),
            Check::MapsRbl(zones) => compiler.zones.extend(zones.iter().cloned()),
            _ => {}
        }
        if let Some(end) = after {
            compiler.said.push(Diagnostic::warning(
                411,
                entry.place.clone(),
                format!("restriction `{}' after `{}' is ignored", entry.name, end.name),
            ));
        }
        let ends = match entry.check {
            Check::Plain(Plain::Permit) => true,
            Check::Plain(Plain::Reject | Plain::Defer) => !warned,
            _ => false,
        };
        if ends && after.is_none() {
            after = Some(entry);
        }
        warned = matches!(entry.check, Check::Plain(Plain::WarnIfReject));
    }
}

/// Postfix's smtpd dies of a class that names itself.
fn check_recursion(names: &[Spanned<String>], bodies: &[Vec<Entry>], compiler: &mut Compiler<'_>) {
    for (index, name) in names.iter().enumerate() {
        let mut seen = HashSet::new();
        let mut open = vec![index];
        while let Some(at) = open.pop() {
            for entry in bodies.get(at).into_iter().flatten() {
                let Check::Class(next) = entry.check else { continue };
                if next == index {
                    compiler.said.push(
                        Diagnostic::error(
                            413,
                            entry.place.clone(),
                            format!("the restriction class {} leads back to itself", name.value),
                        )
                        .help("Postfix's smtpd crashes; Komainu answers 451 4.3.5"),
                    );
                    open.clear();
                    break;
                }
                if seen.insert(next) {
                    open.push(next);
                }
            }
        }
    }
}

/// As Postfix, refuse to run when neither list refuses relaying.
fn check_relay(
    parameters: &Parameters,
    lists: &BTreeMap<Stage, Vec<Entry>>,
    bodies: &[Vec<Entry>],
    compiler: &mut Compiler<'_>,
) {
    if has_refusal(lists, bodies) {
        return;
    }
    let place = parameters.text("smtpd_relay_restrictions").place;
    let place =
        if place.file.is_some() { place } else { parameters.text("smtpd_recipient_restrictions").place };
    let lists = ["smtpd_relay_restrictions", "smtpd_recipient_restrictions"];
    let place = nearest_place(parameters, place, &lists);
    compiler.said.push(
        Diagnostic::error(
            414,
            place,
            "in parameter smtpd_relay_restrictions or smtpd_recipient_restrictions, specify at least one working \
             instance of: reject_unauth_destination, defer_unauth_destination, reject, defer, defer_if_permit or \
             check_relay_domains",
        )
        .help(
            "Postfix takes no mail until there is one, as without it everybody could send mail to everywhere through \
             this server: write `smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, \
             reject_unauth_destination`; without `compatibility_level` its default is empty",
        ),
    );
}

/// `place`; or, where a default is to blame, what is nearest to it in main.cf: one of `names` though it was written
/// empty, the level that defaults hang on, the file's beginning.
pub(crate) fn nearest_place(parameters: &Parameters, place: Place, names: &[&str]) -> Place {
    if place.file.is_some() {
        return place;
    }
    let named = |name: &str| parameters.name_place(name).filter(|place| place.file.is_some()).cloned();
    let beginning = || {
        let any = parameters.definitions().find_map(|(name, _)| named(name))?;
        Some(Place::new(any.file.as_ref()?, 0, 0))
    };
    let written = names.iter().copied().chain(["compatibility_level"]).find_map(named);
    written.or_else(beginning).unwrap_or(place)
}

/// Whether relay or recipient list has a restriction that refuses relaying: all that Postfix looks at when it starts.
pub(crate) fn has_refusal(lists: &BTreeMap<Stage, Vec<Entry>>, bodies: &[Vec<Entry>]) -> bool {
    let refuses = |stage| lists.get(stage).is_some_and(|list: &Vec<Entry>| refuses_relay(list, bodies, 0));
    [Stage::Relay, Stage::Recipient].iter().any(refuses)
}

/// Whether the list has a restriction that refuses relaying, before anything that ends the list.
fn refuses_relay(list: &[Entry], bodies: &[Vec<Entry>], depth: u8) -> bool {
    let mut warn = false;
    for entry in list {
        match &entry.check {
            Check::Plain(Plain::WarnIfReject) => {
                warn = true;
                continue;
            }
            Check::Plain(plain) if parse::refuses_relay(*plain) && !warn => return true,
            Check::Plain(Plain::Permit) => return false,
            Check::Class(class)
                if depth < 20
                    && !warn
                    && bodies.get(*class).is_some_and(|body| refuses_relay(body, bodies, depth + 1)) =>
            {
                return true;
            }
            _ => {}
        }
        warn = false;
    }
    false
}
