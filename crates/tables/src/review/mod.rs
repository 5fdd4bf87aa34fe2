//! A table's lines judged by how the table is used: texts and uses in, findings out.
//!
//! `komainu check` asks here; a server that starts or reloads doesn't. What the loader of a table says already (lines
//! that Postfix skips, keys that stand twice) isn't said again, but for tables that aren't loaded because their service
//! isn't served yet. Only texts are judged: databases without one, SQL and sockets have none. The work is linear in the
//! lines, and of one fault in one table twenty lines are told. T1.10, T1.14, T2.6.

mod actions;
mod ambiguity;
mod backtracking;
mod checks;
mod classes;
mod codes;
mod keys;
mod lines;
mod loops;
mod networks;
mod patterns;
mod sheet;
#[cfg(test)]
mod tests;
mod usage;
mod values;
mod words;

pub use usage::{AccessOf, Moment, Parents, Part, Use, Used, Where, by_parameters, misread};

use crate::catalogue::{Catalogue, Kind, TableId, TableSpec, Usage};
use crate::snapshot::{Snapshot, build, source, trouble};
use crate::source::{Line, Notice, Source};
use crate::sources::Sources;
use crate::table::{Body, Table};
use classes::{Classes, LISTS, Origin};
use codes::{CATCH_ALL, NO_POSTMASTER, NO_RECIPIENTS, TEXT_NEWER, WRONG_TYPE};
use config::{Diagnostic, Parameters, Place};
use loops::Aliases;
use sheet::{Findings, Odd, entries};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use words::Words;

/// What a judgement needs to know beside the texts.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Names of restrictions and restriction classes.
    pub restrictions: Vec<String>,
    /// Services of master.cf that deliver; empty where they aren't known.
    pub transports: Vec<String>,
    /// Whether parents stand for subdomains in access tables.
    pub access_parents: Parents,
    /// The same for `transport_maps`.
    pub transport_parents: Parents,
    /// What is wrong with a list of milters: who connects to them reads it.
    pub milter_fault: fn(&str) -> Option<String>,
}

/// What is reviewed.
pub struct Subject<'a> {
    /// Each place where a table is named.
    pub used: &'a [Used],
    /// What else counts.
    pub setting: &'a Setting,
    /// main.cf's values.
    pub parameters: &'a Parameters,
    /// The tables that are served.
    pub catalogue: &'a Catalogue,
    /// Those tables, compiled.
    pub tables: &'a Snapshot,
    /// Where files come from.
    pub sources: &'a dyn Sources,
}

/// One table with all its uses.
struct Group<'a> {
    spec: TableSpec,
    used: Vec<&'a Used>,
    uses: Vec<Use>,
}

/// Judges every table that is used.
#[must_use]
pub fn review(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let words = Words::new(&subject.setting.restrictions);
    let served: HashMap<String, TableId> =
        (0..).map(TableId).zip(subject.catalogue.specs()).map(|(id, spec)| (title(spec), id)).collect();
    let mut room = Room { subject, words, served, found: Vec::new(), joint: Joint::default() };
    for (list, _) in LISTS.iter().enumerate() {
        room.joint.classes.add_words(list, subject.parameters);
    }
    for group in groups(subject.used).into_values() {
        room.table(&group);
    }
    let Room { mut found, joint, .. } = room;
    found.extend(joint.into_diagnostics());
    found
}

fn title(spec: &TableSpec) -> String {
    format!("{:?} {spec}", spec.usage)
}

/// Tables by name; the members of unions for themselves.
fn groups(used: &[Used]) -> BTreeMap<String, Group<'_>> {
    let mut groups = BTreeMap::new();
    for one in used {
        collect(one, &one.table, &mut groups);
    }
    // Where alias_maps names a table, it is of that form wherever else it is named.
    let aliases: Vec<String> =
        groups.keys().filter_map(|key: &String| key.strip_prefix("Aliases ")).map(str::to_owned).collect();
    for name in aliases {
        let Some(plain) = groups.remove(&format!("Map {name}")) else { continue };
        if let Some(group) = groups.get_mut(&format!("Aliases {name}")) {
            group.used.extend(plain.used);
        }
    }
    groups
}

fn collect<'a>(one: &'a Used, spec: &TableSpec, groups: &mut BTreeMap<String, Group<'a>>) {
    if spec.kind == Kind::Unionmap {
        for member in &spec.members {
            let mut member = member.clone();
            if one.how == Use::Aliases && member.kind.is_indexed() {
                member.usage = Usage::Aliases;
            }
            collect(one, &member, groups);
        }
        return;
    }
    let group = groups.entry(title(spec)).or_insert_with(|| Group {
        spec: spec.clone(),
        used: Vec::new(),
        uses: Vec::new(),
    });
    group.used.push(one);
    if !group.uses.contains(&one.how) {
        group.uses.push(one.how);
    }
}

/// The uses whose results are read; where none is, all.
fn that_read_values(uses: &[Use]) -> impl Iterator<Item = Use> + '_ {
    let some = uses.iter().any(|how| !how.ignores_values());
    uses.iter().copied().filter(move |how| !some || !how.ignores_values())
}

struct Room<'a> {
    subject: &'a Subject<'a>,
    words: Words,
    served: HashMap<String, TableId>,
    found: Vec<Diagnostic>,
    joint: Joint,
}

/// What is judged over several tables.
#[derive(Default)]
struct Joint {
    virtual_aliases: Aliases,
    aliases: Aliases,
    /// Where alias_maps names a table that can't be looked through.
    aliases_unseen: bool,
    aliases_at: Option<Place>,
    classes: Classes,
    /// Lists of recipients: whether a table of theirs has a line, or can't be looked through.
    recipients: BTreeMap<String, (bool, Place)>,
}

impl Joint {
    fn into_diagnostics(self) -> Vec<Diagnostic> {
        let mut found = self.virtual_aliases.loops();
        found.extend(self.aliases.loops());
        found.extend(self.classes.into_diagnostics());
        for (parameter, (some, place)) in self.recipients {
            if !some {
                let message =
                    format!("{parameter} has no line at all: every recipient of its domains is refused");
                let help = format!("write the recipients, or leave {parameter} empty to take them all");
                found.push(Odd::warning(NO_RECIPIENTS, message, help).at(place));
            }
        }
        if let Some(place) = self.aliases_at
            && !self.aliases_unseen
            && !self.aliases.is_empty()
            && !self.aliases.contains("postmaster")
        {
            let help = "RFC 5321 §4.5.1 wants the address on every server; write postmaster: and somebody who reads it";
            found.push(Odd::hint(NO_POSTMASTER, "no alias for postmaster", help).at(place));
        }
        found
    }
}

impl Room<'_> {
    fn table(&mut self, group: &Group<'_>) {
        let served = self.served.get(&title(&group.spec)).copied();
        let made = match served {
            Some(_) => None,
            None => Some(self.unserved(group)),
        };
        let seat = served.map(|id| self.subject.tables.table(id));
        let table: Option<&Table> = seat.as_deref().or(made.as_ref());
        let text = self.text(&group.spec, table);
        self.file(group);
        let Some(text) = text else {
            self.inline(group);
            return self.unseen(group);
        };
        let (lines, _) = text.lines();
        let mut found = Findings::default();
        lines::judge(&text, group.spec.kind, &group.uses, &mut found);
        match group.spec.kind {
            Kind::Cidr | Kind::Regexp | Kind::Pcre => self.rules(group, &text, &lines, (table, &mut found)),
            _ => self.pairs(group, &text, &lines, &mut found),
        }
        let found = found.into_diagnostics();
        if group.spec.path().is_some() {
            self.found.extend(found);
        } else {
            self.found.extend(found.into_iter().map(|one| in_name(one, &group.spec.place)));
        }
    }

    /// The pairs of a table of actions or transports that stand in main.cf.
    fn inline(&mut self, group: &Group<'_>) {
        let is_judged = |how: &Use| matches!(how, Use::Access(..) | Use::Transports);
        if group.spec.kind != Kind::Inline || !group.uses.iter().all(is_judged) {
            return;
        }
        let mut found = Findings::default();
        for (key, value) in group.spec.pairs().unwrap_or_default() {
            let odd = [self.key(&group.uses, &key, &value), self.value(&group.uses, &key, &value)];
            for odd in odd.into_iter().flatten() {
                found.say(odd, || group.spec.place.clone());
            }
        }
        self.found.extend(found.into_diagnostics().into_iter().map(|one| in_name(one, &group.spec.place)));
    }

    /// A table that no served parameter names: what its loader would have said comes from here.
    fn unserved(&mut self, group: &Group<'_>) -> Table {
        let built = build(&group.spec, &[], self.subject.sources);
        self.found.extend(built.notices.iter().map(Notice::diagnostic));
        // A default's table that isn't there is nobody's fault.
        if group.spec.place.file.is_some() {
            self.found.extend(trouble(&group.spec, &built.table));
        }
        built.table
    }

    /// The text that is in force; none where a database, or nothing, is.
    fn text(&self, spec: &TableSpec, table: Option<&Table>) -> Option<Source> {
        if !crate::table::has_source(spec.kind) || table.is_none_or(Table::is_broken) {
            return None;
        }
        let path = Path::new(&spec.name);
        let is_text = table.and_then(Table::file).is_none_or(|file| file == path);
        if is_text { source(spec, self.subject.sources).ok() } else { None }
    }

    /// A table without a text to look through.
    fn unseen(&mut self, group: &Group<'_>) {
        self.joint.aliases_unseen |= group.uses.contains(&Use::Aliases) && group.spec.type_name != "nis";
        for used in &group.used {
            if matches!(used.how, Use::Recipients | Use::Mailboxes) {
                let seat = self.joint.recipients.entry(used.by.clone());
                seat.or_insert_with(|| (true, used.place.clone())).0 = true;
            }
        }
    }

    /// The files themselves, and whether the type fits the use.
    fn file(&mut self, group: &Group<'_>) {
        let spec = &group.spec;
        let modified = |path: &Path| self.subject.sources.modified(path);
        if let (Some(text), Some(database)) = (spec.path(), spec.database())
            && let (Some(saved), Some(made)) = (modified(&text), modified(&database))
            && made < saved
        {
            let message = format!("{spec} was saved after {} was made", database.display());
            let command = if spec.usage == Usage::Aliases { "postalias" } else { "postmap" };
            let help =
                format!("here the text is served; Postfix serves the old rows until `{command} {spec}`");
            self.found.push(Odd::hint(TEXT_NEWER, message, help).at(spec.place.clone()));
        }
        if spec.kind == Kind::Cidr
            && let Some(used) = group.used.iter().find(|used| wants_mail(used.how))
        {
            let message =
                format!("{} asks for mail addresses and domains, and {spec} knows networks only", used.by);
            let help =
                "nothing in it ever matches; use it with check_client_access, or take another type of table";
            self.found.push(Odd::warning(WRONG_TYPE, message, help).at(used.place.clone()));
        }
    }

    fn rules(
        &mut self,
        group: &Group<'_>,
        source: &Source,
        lines: &[Line<'_>],
        (table, found): (Option<&Table>, &mut Findings),
    ) {
        let setting = self.subject.setting;
        let review = patterns::Table {
            source,
            lines,
            kind: group.spec.kind,
            uses: &group.uses,
            setting,
            words: &self.words,
        };
        match (group.spec.kind, table.map(|table| &table.body)) {
            (Kind::Cidr, Some(Body::Cidr(cidr))) => review.judge_networks(Some(cidr), found),
            (Kind::Cidr, _) => review.judge_networks(None, found),
            (_, Some(Body::Rules(rules))) => review.judge(Some(rules), found),
            _ => review.judge(None, found),
        }
        self.unseen(group);
    }

    fn pairs(&mut self, group: &Group<'_>, source: &Source, lines: &[Line<'_>], found: &mut Findings) {
        let mut count = 0_usize;
        let mut caught = false;
        let lists: Vec<usize> = LISTS
            .iter()
            .enumerate()
            .filter(|(_, list)| group.used.iter().any(|used| used.by == **list))
            .map(|(at, _)| at)
            .collect();
        for entry in entries(lines, group.spec.usage) {
            count += 1;
            let key = entry.key.as_ref();
            if let Some(odd) = self.key(&group.uses, key, entry.value) {
                found.say(odd, || entry.key_place(source));
            }
            let remark = group.uses.iter().find_map(|how| values::remark(*how, entry.value));
            if let Some(odd) = remark.or_else(|| self.value(&group.uses, key, entry.value)) {
                found.say(odd, || entry.value_place(source));
            }
            if group.uses.contains(&Use::VirtualAliases) {
                if key.starts_with('@') && !caught {
                    caught = true;
                    found.say(catch_all(key), || entry.key_place(source));
                }
                self.joint.virtual_aliases.add(key, entry.value, entry.key_place(source));
            }
            if group.uses.contains(&Use::Aliases) {
                self.joint.aliases.add(key, entry.value, entry.key_place(source));
            }
            for list in &lists {
                self.joint.classes.add(*list, key, || entry.key_place(source), Origin::Table);
            }
        }
        for used in &group.used {
            match used.how {
                Use::Recipients | Use::Mailboxes => {
                    let seat = self.joint.recipients.entry(used.by.clone());
                    seat.or_insert_with(|| (false, used.place.clone())).0 |= count > 0;
                }
                Use::Aliases => self.joint.aliases_at = Some(used.place.clone()),
                _ => {}
            }
        }
    }

    /// A key is odd when no use of the table asks for it.
    fn key(&self, uses: &[Use], key: &str, value: &str) -> Option<Odd> {
        let setting = self.subject.setting;
        let mut first = None;
        for how in uses {
            let parents = match how {
                Use::Transports => setting.transport_parents,
                _ => setting.access_parents,
            };
            let odd = keys::judge(*how, key, value).or_else(|| keys::leading_dot(*how, key, parents))?;
            first = first.or(Some(odd));
        }
        first
    }

    fn value(&self, uses: &[Use], key: &str, value: &str) -> Option<Odd> {
        that_read_values(uses).find_map(|how| match how {
            Use::Access(of, moment) => actions::judge(of, moment, value, &self.words),
            Use::Checks(part, place) => checks::judge(part, place, value),
            how => values::judge(how, key, value, self.subject.setting),
        })
    }
}

/// Whether only mail addresses and domains are asked for.
fn wants_mail(how: Use) -> bool {
    matches!(
        how,
        Use::Access(AccessOf::Sender | AccessOf::Recipient, _)
            | Use::Aliases
            | Use::VirtualAliases
            | Use::Addresses
            | Use::Relocated
            | Use::Mailboxes
            | Use::Recipients
            | Use::Transports
            | Use::Domains(_)
            | Use::Checks(..)
    )
}

/// A finding in a table that stands in its own name: no file has its lines, and a repair would have no place.
fn in_name(mut found: Diagnostic, place: &Place) -> Diagnostic {
    found.place = place.clone();
    found.fix = None;
    found
}

fn catch_all(key: &str) -> Odd {
    let help = "mail to names that were made up is taken too, and sent on; list the addresses that exist, where you can";
    Odd::hint(CATCH_ALL, format!("{key} lets every address of that domain exist"), help)
}
