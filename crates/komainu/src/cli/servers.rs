//! Tables behind sockets, asked by commands that wait: `postmap -q`, `komainu table lookup`.

use crate::facts::table_client::TableServers;
use policy::Answer;
use std::io;
use tables::Remote;
use tokio::runtime::{Builder, Runtime};

/// Connections, and where they are waited for. Made when the first table asks.
#[derive(Default)]
pub(super) struct Servers(Option<(Runtime, TableServers)>);

impl Servers {
    /// What `table` says about `key`; `None` where it can't say, of which `program` warns.
    pub(super) fn ask(&mut self, program: &'static str, table: &Remote, key: &str) -> Option<Option<String>> {
        if self.0.is_none() {
            match start(program) {
                Ok(started) => self.0 = Some(started),
                Err(error) => eprintln!("{program}: warning: {error}"),
            }
        }
        let (runtime, servers) = self.0.as_ref()?;
        match runtime.block_on(servers.ask(table, key)) {
            Answer::Value(value) => Some(value),
            _ => None,
        }
    }
}

fn start(program: &'static str) -> io::Result<(Runtime, TableServers)> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let warn = Box::new(move |text: &str| eprintln!("{program}: warning: {text}"));
    // As postmap: relative to where it was started.
    Ok((runtime, TableServers::new(".".into(), warn)))
}
