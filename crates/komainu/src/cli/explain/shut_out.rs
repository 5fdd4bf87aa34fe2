//! Whether a jail of the server shuts the client out, which no rule of main.cf tells. T2.20.

use crate::bans::order::{Held, Reason};
use crate::cli::bans::{holding, moment, socket};
use crate::configuration::{Bans, state_directory};
use config::Parameters;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;
use tables::Snapshot;

/// The socket in the state folder, where the one that fail2ban.conf names can't be had.
const OWN_SOCKET: &str = "ban.sock";

/// What the engine behind the jails says of a client.
pub(super) struct Found {
    client: IpAddr,
    holds: Result<Vec<(Reason, Held)>, String>,
    /// `komainu_ban_never` names it.
    is_never: bool,
}

/// Asks the engine, where there are jails.
pub(super) fn ask(bans: &Bans, p: &Parameters, client: IpAddr, tables: &Snapshot) -> Found {
    let named = p.text("komainu_state_directory").value;
    let state = if named.is_empty() { state_directory() } else { PathBuf::from(named) };
    let first = socket(&bans.directory, None);
    let asked = holding(&state.join(OWN_SOCKET), client).or_else(|_| holding(&first, client));
    let holds = asked.map(|reasons| {
        reasons
            .into_iter()
            .filter_map(|mut reason| Some((reason.held.take()?, reason)))
            .map(|(held, reason)| (reason, held))
            .collect()
    });
    let holds = holds.map_err(|error| format!("{}: {error}", first.display()));
    Found { client, holds, is_never: bans.never.contains_address(tables, client).unwrap_or(false) }
}

impl Found {
    /// Whether the client is refused before a byte is said.
    pub(super) fn is_refused(&self) -> bool {
        !self.is_never && self.holds.as_ref().is_ok_and(|holds| !holds.is_empty())
    }

    /// Lines for people; nothing where nothing is to be said.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        let holds = match &self.holds {
            Ok(holds) => holds,
            Err(error) => {
                return format!("(whether a jail shuts it out isn't known: {error}; does the server run?)\n");
            }
        };
        for (reason, held) in holds {
            let until =
                held.until_s.map_or_else(|| "for ever".to_owned(), |at_s| format!("until {}", moment(at_s)));
            let id = events::text::printable(reason.id.as_bytes());
            // Writing to a string can't fail.
            let _ = writeln!(out, "[{}] shuts {id} out since {}, {until}", reason.jail, moment(held.since_s));
        }
        if self.is_refused() {
            let client = self.client;
            let _ = writeln!(
                out,
                "its connections are reset before a byte is said, on every port; `komainu ban why {client}` tells what led to \
                 it, and what follows is what it would hear otherwise"
            );
        } else if !holds.is_empty() {
            out.push_str("it is let in all the same: komainu_ban_never names it\n");
        }
        out
    }

    /// The same, for programs.
    pub(super) fn json(&self) -> Value {
        match &self.holds {
            Ok(holds) => json!({
                "refused": self.is_refused(),
                "never": self.is_never,
                "held": holds.iter().map(|(_, held)| json!(held)).collect::<Vec<_>>(),
            }),
            Err(error) => json!({ "unknown": error }),
        }
    }
}
