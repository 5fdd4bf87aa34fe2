//! Repairs tried on paper before they are proposed: none is safe that brings an error which wasn't there.
//!
//! A name that is spelt right begins to count, and what it says may open a relay; a line that ends may leave the next
//! one hanging. So the mended files are judged as the written ones were. T1.5, T2.11.

use super::Plan;
use config::{Code, Diagnostic, Severity};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;
use tables::sources::Accounts;
use tables::{SourceError, Sources, Vantage};

/// So many repairs are tried one by one where all of them together bring an error.
const ONE_BY_ONE_MAX: usize = 100;

/// The repairs that bring no error, and those that would.
#[derive(Debug, Default)]
pub struct Trial<'f> {
    /// What can be mended.
    pub plan: Plan,
    /// Findings whose repairs are left to the administrator.
    pub withheld: Vec<&'f Diagnostic>,
}

impl<'f> Trial<'f> {
    /// Tries the repairs of `found`; `look` judges the configuration as it is read from what it is given.
    pub fn of(
        found: &'f [Diagnostic],
        written: &dyn Sources,
        look: impl Fn(&dyn Sources) -> Vec<Diagnostic>,
    ) -> Trial<'f> {
        let all = Plan::of(found);
        if all.repairs.is_empty() {
            return Trial { plan: all, withheld: Vec::new() };
        }
        let before = errors(found);
        let is_safe = |plan: &Plan| !is_worse(&before, &errors(&look(&Mended { plan, written })));
        if is_safe(&all) {
            return Trial { plan: all, withheld: Vec::new() };
        }
        let mendable: Vec<&Diagnostic> = found.iter().filter(|one| one.fix.is_some()).collect();
        if mendable.len() > ONE_BY_ONE_MAX {
            return Trial { plan: Plan::default(), withheld: mendable };
        }
        let alone = |one: &Diagnostic| is_safe(&Plan::of(std::slice::from_ref(one)));
        let (good, withheld): (Vec<&Diagnostic>, Vec<_>) = mendable.iter().partition(|one| alone(one));
        let kept: Vec<Diagnostic> = good.into_iter().cloned().collect();
        let plan = Plan::of(&kept);
        // Each alone is harmless, and together they aren't: none of them.
        if is_safe(&plan) {
            Trial { plan, withheld }
        } else {
            Trial { plan: Plan::default(), withheld: mendable }
        }
    }
}

/// How many errors of each code.
fn errors(found: &[Diagnostic]) -> BTreeMap<Code, usize> {
    let mut errors = BTreeMap::new();
    for one in found.iter().filter(|one| one.severity == Severity::Error) {
        *errors.entry(one.code).or_default() += 1;
    }
    errors
}

fn is_worse(before: &BTreeMap<Code, usize>, after: &BTreeMap<Code, usize>) -> bool {
    after.iter().any(|(code, number)| before.get(code).is_none_or(|known| number > known))
}

/// The files as they would be.
struct Mended<'a> {
    plan: &'a Plan,
    written: &'a dyn Sources,
}

impl Sources for Mended<'_> {
    fn read(&self, path: &Path) -> Result<Vec<u8>, SourceError> {
        match self.plan.repairs.iter().find(|repair| repair.file.path == path) {
            Some(repair) => Ok(repair.text().into_bytes()),
            None => self.written.read(path),
        }
    }

    fn modified(&self, path: &Path) -> Option<SystemTime> {
        self.written.modified(path)
    }

    fn vantage(&self) -> Vantage {
        self.written.vantage()
    }

    fn environment(&self) -> Vec<(String, String)> {
        self.written.environment()
    }

    fn accounts(&self) -> Result<Arc<dyn Accounts>, SourceError> {
        self.written.accounts()
    }
}
