//! What the configuration's defaults hang on and no file says: the machine's name and addresses.
//!
//! The program finds these out and hands them in; nothing here asks the system.

use std::net::IpAddr;

/// The machine, as the program found it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// What gethostname(2) says.
    pub hostname: String,
    /// Addresses of the network interfaces, loopback among them.
    pub addresses: Vec<Interface>,
}

/// One address of one network interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The address.
    pub address: IpAddr,
    /// Length of its network's prefix in bits.
    pub prefix: u8,
}

/// Whose defaults are in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compat {
    /// Postfix 3.7's (Debian 12).
    V3_7,
    /// Postfix 3.11's.
    #[default]
    V3_11,
}
