//! `komainu ban import`: fail2ban's database, handed to the engine that runs.

use super::{EX_TEMPFAIL, failed};
use crate::bans::files::Disk;
use crate::bans::order::{Answer, Order};
use crate::bans::{control, import};
use crate::clock;
use ban::jail::Settings;
use ban::{jails, server};
use clap::Args;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Args, Debug)]
pub(super) struct Import {
    /// fail2ban's database [default: fail2ban.conf's `dbfile`].
    file: Option<PathBuf>,
    /// The socket where the engine answers [default: fail2ban.conf's `socket`].
    #[arg(long, short = 's', value_name = "FILE")]
    socket: Option<PathBuf>,
    /// Only tell what would be taken over.
    #[arg(long, short = 'n')]
    dry_run: bool,
}

pub(super) fn run(folder: &Path, arguments: &Import) -> ExitCode {
    let server = server::read(&Disk, folder, &mut Vec::new());
    let path = arguments.file.clone().unwrap_or_else(|| server.dbfile.into());
    let shown = path.display();
    let read = jails::read(&Disk, folder);
    let ban_s: BTreeMap<String, i64> =
        read.jails.iter().map(|jail| (jail.name.clone(), Settings::of(jail).0.ban_s)).collect();
    let usual_s = |jail: &str| ban_s.get(jail).copied().unwrap_or(600);
    let taken = match import::read(&path, clock::now().wall.seconds(), &usual_s) {
        Ok(taken) => taken,
        Err(error) => return failed(EX_TEMPFAIL, format_args!("{shown}: {error}")),
    };
    if let Some(warning) = &taken.warning {
        eprintln!("komainu ban: {warning}");
    }
    if taken.skipped > 0 {
        eprintln!("komainu ban: {shown}: {} rows make no sense and are left out", taken.skipped);
    }
    let earlier = taken.imported.len() - taken.bans;
    let said = format!("{} bans that last, {earlier} that are remembered", taken.bans);
    if arguments.dry_run {
        println!("{shown}: {said}");
        return ExitCode::SUCCESS;
    }
    let socket = super::ask::socket(folder, arguments.socket.as_deref());
    match control::ask(&socket, &Order::Import(taken.imported)) {
        Ok(Answer::Done | Answer::Count(_)) => {
            println!("{shown}: taken over: {said}");
            ExitCode::SUCCESS
        }
        Ok(Answer::Refused(why)) => failed(EX_TEMPFAIL, why),
        Ok(_) => failed(EX_TEMPFAIL, "the engine answered something else than was asked"),
        Err(error) => failed(EX_TEMPFAIL, format_args!("{}: {error}", socket.display())),
    }
}
