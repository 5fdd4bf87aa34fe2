//! `cidr:` tables: lines whose every address an earlier line has, and results that can't be.

use super::codes::{NEVER_ASKED, SHADOWED};
use super::patterns::Table;
use super::sheet::{Findings, Odd, value_place};
use super::usage::{AccessOf, Use};
use super::{actions, values};
use crate::cidr::Cidr;
use crate::source::{Line, is_space};

impl Table<'_> {
    pub(super) fn judge_networks(&self, cidr: Option<&Cidr>, found: &mut Findings) {
        for line in self.lines {
            let Some((network, value)) = parts(line) else { continue };
            self.network_result(line, network, value, found);
        }
        if let Some(cidr) = cidr {
            self.unreached(cidr, found);
        }
    }

    fn network_result(&self, line: &Line<'_>, network: &str, value: &str, found: &mut Findings) {
        let place = || value_place(self.source, line, value);
        if let Some(odd) = self.uses.iter().find_map(|how| values::remark(*how, value)) {
            found.say(odd, place);
        }
        for how in super::that_read_values(self.uses) {
            let odd = match how {
                Use::Access(of, moment) => actions::judge(of, moment, value, self.words),
                how => values::judge(how, network, value, self.setting),
            };
            if let Some(odd) = odd {
                found.say(odd, place);
                break;
            }
        }
        let helo = |how: &Use| matches!(how, Use::Access(AccessOf::Helo | AccessOf::Etrn, _));
        if self.uses.iter().all(helo) && super::keys::lets_in(value) {
            let message = format!(
                "{network} is an address, and this table is asked for the name in HELO, not for the client's address"
            );
            let help = "use check_client_access with this table, or write the name that the client gives";
            found.say(Odd::warning(NEVER_ASKED, message, help), || self.source.place(line));
        }
    }

    /// Lines that no address comes to, where the line before them says something else.
    fn unreached(&self, cidr: &Cidr, found: &mut Findings) {
        for (dead, first) in cidr.unreached() {
            let Some(first) = first else { continue };
            if dead.value.trim().eq_ignore_ascii_case(first.value.trim()) {
                continue;
            }
            let shown = |start: usize, end: usize| {
                let text = self.source.file.text.get(start..end).unwrap_or("");
                text.split(is_space).next().unwrap_or("").to_owned()
            };
            let message = format!(
                "{} is never reached: {} stands before it, and the first match counts",
                shown(dead.start, dead.end),
                shown(first.start, first.end)
            );
            found.say(Odd::warning(SHADOWED, message, "put the smaller network first"), || {
                config::Place::new(&self.source.file, dead.start, dead.end)
            });
        }
    }
}

/// The network and the result of a line that is no condition.
fn parts<'l>(line: &'l Line<'_>) -> Option<(&'l str, &'l str)> {
    let text = line.trimmed().trim_start_matches(|c: char| c == '!' || is_space(c));
    let (network, value) = text.split_once(is_space)?;
    let condition = network.eq_ignore_ascii_case("if") || network.eq_ignore_ascii_case("endif");
    (!condition).then_some((network, value.trim_start_matches(is_space)))
}
