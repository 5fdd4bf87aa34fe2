//! What is said and kept in mind when a session is over.
//!
//! The disconnect line; how the client behaved, for the day when seats are scarce ([`policy::regulars`]); and whether
//! all clients of this port seem to be one ([`policy::hidden`], K0220, T2.3).

use super::Session;
use crate::clock;
use events::daemon::Message;
use events::smtpd::Disconnect;
use policy::regulars::Conduct;
use std::net::IpAddr;
use tables::matching::AddressList;

/// Who speaks of the server as a whole.
const MASTER: &str = "postfix/master";

impl Session {
    /// The session is over.
    pub(super) fn farewell(&self) {
        let commands = self.server.counters().to_string();
        let line = Disconnect { client: self.peer(), commands: commands.into() };
        self.shared.log.write(self.program(), line);
        self.remember();
    }

    fn remember(&self) {
        let (good, all) = self.server.counters().total();
        let (address, listener) = (self.tx.client.address, &self.service.listener);
        let (house, now) = (&self.shared.house, clock::now().mono);
        house.remember(address, Conduct::of(self.messages, all.saturating_sub(good)), now);
        let is_in =
            |list: &AddressList| list.contains_address(self.facts.snapshot(), address).unwrap_or(false);
        // Who says nothing is a probe; behind a proxy that tells, addresses are true.
        if all == 0 || listener.upstream.is_some() || is_in(&listener.lists.relays) {
            return;
        }
        if let Some(sessions) = house.suspect(&listener.name, address, now) {
            let text = hidden(sessions, &listener.name, address, is_in(&listener.lists.local));
            self.shared.log.write(MASTER, text);
        }
    }
}

/// K0220: all clients seem to be one.
fn hidden(sessions: u32, listener: &str, address: IpAddr, is_local: bool) -> Message<'static> {
    let blind = "a container's gateway or a proxy seems to hide who they are";
    let mend = format!(
        "give the container the host's network, or let clients' addresses through (Docker: userland-proxy off), or \
         have the proxy speak the PROXY protocol and set smtpd_upstream_proxy_protocol = haproxy; if {address} is a \
         relay of yours, name it in komainu_relay_clients"
    );
    let came = format!(
        "K0220: the last {sessions} clients of {listener} all came from {address}, a private address"
    );
    if is_local {
        Message::error(format!(
            "{came}, which is in mynetworks: {blind}, and then this is an OPEN RELAY, as permit_mynetworks permits \
             everybody; take {address} out of mynetworks now; {mend}"
        ))
    } else {
        Message::warning(format!(
            "{came}: {blind}; bans, DNS lists and greylisting can't tell them apart, and with {address} in mynetworks \
             it would be an open relay; {mend}"
        ))
    }
}
