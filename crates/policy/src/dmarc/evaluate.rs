//! From an author domain to a verdict: the record that applies, whether an authenticated domain stands for the author's,
//! the policy in force.

use super::record::{Alignment, DmarcRecord};
use super::walk::{self, Stop};
use super::{
    Disposition, DmarcResult, Identifier, Identifiers, Outcome, Problem, Published, Settings, Tag, Verdict,
};
use crate::facts::{Answer, Facts, Need, Question, RecordKind};

struct Evaluation<'a> {
    author: &'a str,
    settings: &'a Settings<'a>,
    facts: &'a Facts,
}

/// What one method has for the author domain.
enum Found {
    /// The domain that stands for it.
    Aligned(String),
    Nothing,
    /// Nothing, but who knows.
    Unknown(Problem),
}

/// See [`super::check`].
pub(super) fn check(
    author: &str,
    identifiers: &Identifiers<'_>,
    settings: &Settings<'_>,
    facts: &Facts,
) -> Result<Verdict, Need> {
    let evaluation = Evaluation { author, settings, facts };
    match evaluation.judge(identifiers) {
        Ok(verdict) => Ok(verdict),
        Err(Stop::Need(need)) => Err(need),
        Err(Stop::Temporary(problem)) => Ok(Verdict::without_record(author, DmarcResult::TempError, problem)),
    }
}

impl Evaluation<'_> {
    fn judge(&self, identifiers: &Identifiers<'_>) -> Result<Verdict, Stop> {
        let Some((domain, record)) = self.discover()? else {
            return Ok(Verdict::without_record(self.author, DmarcResult::None, Problem::NoRecord));
        };
        if record.is_malformed() && record.rua.is_empty() {
            let problem = Problem::Malformed { domain };
            return Ok(Verdict::without_record(self.author, DmarcResult::PermError, problem));
        }
        let spf = self.first(identifiers.spf.as_slice(), record.aspf)?;
        let dkim = self.first(identifiers.dkim, record.adkim)?;
        let passes = [&spf, &dkim].iter().any(|found| matches!(found, Found::Aligned(_)));
        let (tag, policy) = self.policy(&domain, &record, passes)?;
        let published = Published { domain, record, tag, policy };
        let in_force = self.in_force(&published);
        let mut verdict = Verdict {
            author: self.author.to_owned(),
            result: DmarcResult::Fail,
            disposition: in_force,
            published: Some(published),
            spf: None,
            dkim: None,
            problem: None,
        };
        for (found, slot) in [(spf, &mut verdict.spf), (dkim, &mut verdict.dkim)] {
            match found {
                Found::Aligned(domain) => *slot = Some(domain),
                Found::Unknown(problem) => verdict.problem = Some(problem),
                Found::Nothing => {}
            }
        }
        if verdict.spf.is_some() || verdict.dkim.is_some() {
            (verdict.result, verdict.problem) = (DmarcResult::Pass, None);
            verdict.disposition = Disposition::None;
        } else if verdict.problem.is_some() {
            verdict.result = DmarcResult::TempError;
        }
        Ok(verdict)
    }

    /// The record that applies, and whose it is.
    fn discover(&self) -> Result<Option<(String, DmarcRecord)>, Stop> {
        if let Some(record) = walk::record(self.author, self.facts)? {
            return Ok(Some((self.author.to_owned(), record)));
        }
        if let Some(suffixes) = self.settings.suffixes {
            let organization = suffixes.organization(self.author);
            if organization == self.author {
                return Ok(None);
            }
            let record = walk::record(organization, self.facts)?;
            return Ok(record.map(|record| (organization.to_owned(), record)));
        }
        // The highest record is the organisation's, or that of the domain which it is registered below.
        let found = walk::walk(self.author, self.facts)?;
        let organization = walk::organization(self.author, &found);
        let own = found.iter().position(|(name, _)| *name == organization);
        let at = own.or_else(|| found.len().checked_sub(1));
        let chosen = at.and_then(|at| found.into_iter().nth(at));
        Ok(chosen.map(|(name, record)| (name.to_owned(), record)))
    }

    /// What `record` of `domain` asks for the author domain. Where it passes, that such a name isn't there is not asked.
    fn policy(&self, domain: &str, record: &DmarcRecord, passes: bool) -> Result<(Tag, Disposition), Stop> {
        if domain == self.author {
            return Ok((Tag::P, record.own_policy()));
        }
        if let Some(policy) = record.missing_policy()
            && !passes
            && !self.exists()?
        {
            return Ok((Tag::Np, policy));
        }
        Ok((Tag::Sp, record.subdomain_policy().unwrap_or_else(|| record.own_policy())))
    }

    /// Whether the author domain does (RFC 8020): a name that no question can be asked about doesn't.
    fn exists(&self) -> Result<bool, Stop> {
        if !walk::is_askable(self.author) {
            return Ok(false);
        }
        let question = Question::Dns { name: self.author.to_owned(), kind: RecordKind::A };
        match self.facts.ask(&question)? {
            Answer::NoName => Ok(false),
            Answer::Unavailable(_) | Answer::Failed(_) => {
                Err(Stop::Temporary(Problem::NoAnswer { name: self.author.to_owned() }))
            }
            _ => Ok(true),
        }
    }

    /// One step less where it is only tried out, or where the message isn't among those of `pct`.
    fn in_force(&self, published: &Published) -> Disposition {
        let record = &published.record;
        let is_lowered = record.is_test.unwrap_or(self.settings.roll >= record.percent);
        if is_lowered { published.policy.lower() } else { published.policy }
    }

    /// The first that stands for the author domain.
    fn first(&self, identifiers: &[Identifier<'_>], alignment: Alignment) -> Result<Found, Stop> {
        let mut unknown = Found::Nothing;
        for wanted in [Outcome::Pass, Outcome::TempError] {
            for identifier in identifiers.iter().filter(|identifier| identifier.outcome == wanted) {
                let Some(domain) = mail::host::ascii_name(identifier.domain) else { continue };
                let domain = domain.strip_suffix('.').unwrap_or(&domain);
                let is_aligned = match self.is_aligned(domain, alignment) {
                    Err(Stop::Temporary(problem)) => {
                        unknown = Found::Unknown(problem);
                        continue;
                    }
                    aligned => aligned?,
                };
                match wanted {
                    Outcome::Pass if is_aligned => return Ok(Found::Aligned(domain.to_owned())),
                    _ if is_aligned => {
                        unknown = Found::Unknown(Problem::Unknown { domain: domain.to_owned() })
                    }
                    _ => {}
                }
            }
        }
        Ok(unknown)
    }

    /// Whether `domain` stands for the author domain (RFC 9989 §4.4).
    fn is_aligned(&self, domain: &str, alignment: Alignment) -> Result<bool, Stop> {
        if domain == self.author {
            return Ok(true);
        }
        let last = |name: &str| name.rsplit('.').next().map(str::to_owned);
        if alignment == Alignment::Strict || domain.is_empty() || last(domain) != last(self.author) {
            return Ok(false);
        }
        if let Some(suffixes) = self.settings.suffixes {
            return Ok(suffixes.organization(domain) == suffixes.organization(self.author));
        }
        let own = walk::walk(self.author, self.facts)?;
        let other = walk::walk(domain, self.facts)?;
        Ok(walk::organization(domain, &other) == walk::organization(self.author, &own))
    }
}
