//! What is looked at in mail on its way in: header_checks and their kin, `strict_…`, MIME's limits.
//!
//! These are cleanup(8)'s parameters: main.cf's, or those of the `-o` at the master.cf line that a service's
//! `cleanup_service_name` names. `receive_override_options` is the service's own.

use super::{Milters, Skipped};
use config::{Diagnostic, MasterCf, Parameters};
use mail::mime::{Faults, Settings, Structure};
use policy::content::Checks;
use std::sync::Arc;
use tables::Catalogue;

/// What is looked at.
#[derive(Clone, Debug)]
pub struct Inspecting {
    /// The tables.
    pub checks: Arc<Checks>,
    /// How messages are read.
    pub reading: Settings,
    /// `line_length_limit`, bytes of a line that are looked at together.
    pub line_bytes_max: usize,
}

/// Who looks at a service's mail in cleanup(8), beside the milters of SMTP.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// header_checks and their kin.
    pub inspecting: Option<Arc<Inspecting>>,
    /// `milter_header_checks`
    pub milter_checks: Option<Arc<Checks>>,
    /// `non_smtpd_milters`
    pub non_smtpd_milters: Option<Arc<Milters>>,
}

impl Seen {
    /// For the mail of a service.
    #[must_use]
    pub fn compile(
        service: &Parameters,
        main: &Parameters,
        (master, catalogue): (&MasterCf, &mut Catalogue),
    ) -> (Seen, Vec<Diagnostic>) {
        let (inspecting, mut found) = Inspecting::compile(service, main, master, catalogue);
        let (p, _) = of_cleanup(service, main, master);
        let (checks, more) = Checks::milter(&p, catalogue);
        found.extend(more);
        let (non_smtpd_milters, more) = Milters::of_cleanup(service, &p);
        found.extend(more);
        let milter_checks = checks.has_headers().then(|| Arc::new(checks));
        (Seen { inspecting, milter_checks, non_smtpd_milters }, found)
    }
}

/// The parameters of the cleanup(8) that a service's mail goes through.
fn of_cleanup(service: &Parameters, main: &Parameters, master: &MasterCf) -> (Parameters, Vec<Diagnostic>) {
    let name = service.text("cleanup_service_name").value;
    let line = master.services.iter().find(|one| one.name.value == name);
    main.with_overrides(line.map_or(&[], |line| line.overrides.as_slice()))
}

impl Inspecting {
    /// For the mail of a service; `None` where nothing is looked at.
    #[must_use]
    pub fn compile(
        service: &Parameters,
        main: &Parameters,
        master: &MasterCf,
        catalogue: &mut Catalogue,
    ) -> (Option<Arc<Inspecting>>, Vec<Diagnostic>) {
        let (p, mut found) = of_cleanup(service, main, master);
        let (checks, more) = Checks::arrival(&p, catalogue);
        found.extend(more);
        let checks = if Skipped::read(service).checks { checks.off() } else { checks };
        let (all, flat) = (p.flag("strict_8bitmime"), p.flag("disable_mime_input_processing"));
        let mut faults = Faults {
            header_8bit: all || p.flag("strict_7bit_headers"),
            body_8bit: all || p.flag("strict_8bitmime_body"),
            encoding: p.flag("strict_mime_encoding_domain"),
            nesting: false,
        };
        faults.nesting = checks.has_headers() || faults != Faults::default();
        if checks.is_empty() && (flat || !faults.nesting) {
            return (None, found);
        }
        let size = |name: &str| usize::try_from(p.number(name)).unwrap_or(0);
        let reading = Settings {
            header_bytes_max: size("header_size_limit"),
            keeps_lines: false,
            nesting_max: size("mime_nesting_limit"),
            boundary_max: size("mime_boundary_length_limit"),
            structure: if flat { Structure::Flat } else { Structure::Parts },
            faults,
        };
        let line_bytes_max = usize::try_from(service.number("line_length_limit")).unwrap_or(2048);
        (Some(Arc::new(Inspecting { checks: Arc::new(checks), reading, line_bytes_max })), found)
    }
}
