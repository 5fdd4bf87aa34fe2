//! AUTH with users of our own: the questions of an exchange, answered from files, tables and the system's accounts.
//!
//! Whoever isn't there is judged all the same, by what somebody of the same file would cost, so that neither the words
//! nor the time of an answer tell who is. Where an answer can't be had, the client hears that it is no fault of its own.
//! RFC 4954, RFC 4422. T0.2, T2.5.

use super::Session;
use super::authenticate::{Exchange, Failed, Secrets};
use crate::authentication::dovecot::Lost;
use crate::authentication::hashing::Rank;
use crate::authentication::internal::{Internal, UsersPlace};
use crate::authentication::{self, Backend, Logins, SystemVerdict};
use crate::clock;
use crate::privileged::{Keeper, PasswordRequest};
use mail::base64;
use policy::guessing::Outcome;
use proto::sasl::md5::Contexts;
use proto::sasl::scram::Hash;
use proto::sasl::server::Own;
use proto::sasl::server::exchange::{self, Known, Question, Refusal, Surroundings, Turn};
use proto::smtp::AuthOutcome;
use ring::rand::{SecureRandom, SystemRandom};
use std::net::IpAddr;
use std::time::Duration;
use tables::{LookupError, TableId};
use users::{Account, Stored};

/// What was found of a login name.
enum Found {
    Account(Box<Account>),
    /// A table's value.
    Stored(Stored),
    System(Keeper),
    Nobody,
}

impl Found {
    fn secrets(&self) -> Option<Secrets> {
        match self {
            Found::Account(account) => Some((account.stored.clone(), account.scram.clone())),
            Found::Stored(stored) => Some((Some(stored.clone()), Vec::new())),
            Found::System(_) | Found::Nobody => None,
        }
    }

    /// Whether this is somebody who may log in from there. Of the system's accounts only their keeper knows.
    fn lets_in(&self, client: IpAddr) -> bool {
        match self {
            Found::Account(account) => account.admits(client),
            Found::Stored(_) | Found::System(_) => true,
            Found::Nobody => false,
        }
    }
}

impl Session {
    /// The mechanisms that this client can use with these users.
    pub(super) async fn own_mechanisms(&mut self, internal: &Internal) -> Vec<Own> {
        let certified = matches!(self.certified(internal).await, Ok(Some(_)));
        internal.mechanisms(!self.bindings.is_empty(), certified)
    }

    /// AUTH with its mechanism.
    pub(super) async fn begin_own(
        &mut self,
        internal: &Internal,
        (mechanism, offers_binding): (&str, bool),
        initial: Option<&str>,
    ) -> Result<AuthOutcome, Failed> {
        let refused = |what: &str| Failed::Refused(what.to_owned());
        let mechanism =
            Own::from_name(mechanism).ok_or_else(|| refused("Invalid authentication mechanism"))?;
        let initial = match initial.map(base64::decode) {
            None => None,
            Some(Some(bytes)) => Some(bytes),
            Some(None) => return Err(refused("Invalid base64 data in initial response")),
        };
        let nonce = random().ok_or_else(|| Failed::Temporarily("no random bytes".to_owned()))?;
        let host = &self.service.listener.receiving.hostname;
        let surroundings = Surroundings {
            challenge: format!("<{nonce}.{}@{host}>", clock::now().wall.seconds()),
            nonce,
            bindings: self.bindings.to_vec(),
            offers_binding,
        };
        let (exchange, turn) = exchange::Exchange::begin(mechanism, surroundings, initial.as_deref());
        self.turn(internal, (Box::new(exchange), turn)).await
    }

    /// The client's answer to a challenge.
    pub(super) async fn go_on(
        &mut self,
        logins: &Logins,
        mut exchange: Box<exchange::Exchange>,
        text: &str,
    ) -> Result<AuthOutcome, Failed> {
        let Backend::Internal(internal) = &logins.backend else {
            return Err(Failed::Refused(Refusal::Protocol.to_string()));
        };
        let said = base64::decode(text)
            .ok_or_else(|| Failed::Refused("Invalid base64 data in continued response".to_owned()))?;
        let turn = exchange.respond(&said);
        self.turn(internal, (exchange, turn)).await
    }

    async fn turn(
        &mut self,
        internal: &Internal,
        (mut exchange, mut turn): (Box<exchange::Exchange>, Turn),
    ) -> Result<AuthOutcome, Failed> {
        loop {
            turn = match turn {
                Turn::Ask(question) => {
                    let known = self.answer(internal, question).await?;
                    exchange.told(known)
                }
                Turn::Challenge(text) => {
                    self.logging_in().exchange = Some(Exchange::Internal(exchange));
                    return Ok(AuthOutcome::Challenge(base64::encode(&text)));
                }
                Turn::Done(login) => {
                    if self.is_still_in(internal, &login).await? {
                        return Ok(self.logged_in(login));
                    }
                    Turn::Failed(Refusal::Denied)
                }
                Turn::Failed(refusal) => {
                    if refusal == Refusal::Denied {
                        let name = self.logging_in().username.clone();
                        self.settle(name.as_deref(), Outcome::Failed);
                    }
                    return Err(Failed::Refused(refusal.to_string()));
                }
            };
        }
    }

    async fn answer(&mut self, internal: &Internal, question: Question) -> Result<Known, Failed> {
        match question {
            Question::Password { username, password } => {
                let name = self.called(internal, &username);
                self.judge(internal, name, password).await
            }
            Question::Scram { username, hash } => {
                let name = self.called(internal, &username);
                self.scram(internal, name, hash).await
            }
            Question::Cram { username } => {
                let name = self.called(internal, &username);
                let nobody = Contexts::of(&self.shared.authentication.unknown("cram", &name));
                let found = self.found_to_judge(internal, &name).await?;
                let contexts = match found {
                    Found::Account(account) if account.admits(self.tx.client.address) => account.cram(),
                    Found::Stored(stored) => stored.cram(),
                    _ => None,
                };
                Ok(Known::Cram(contexts.unwrap_or(nobody), name))
            }
            Question::Certificate { username } => {
                let login = self.certified(internal).await?;
                let wants = username.map(|username| internal.named(&username));
                self.logging_in().username = wants.clone().or_else(|| login.clone());
                let login = login.filter(|login| wants.is_none_or(|wants| wants == *login));
                Ok(login.map_or(Known::Wrong, Known::Right))
            }
        }
    }

    /// The name as users have it, which the log says from now on.
    fn called(&mut self, internal: &Internal, username: &str) -> String {
        let name = internal.named(username);
        self.logging_in().username = Some(name.clone());
        name
    }

    async fn judge(&mut self, internal: &Internal, name: String, password: Vec<u8>) -> Result<Known, Failed> {
        let client = self.tx.client.address;
        let (stored, counts) = match self.found_to_judge(internal, &name).await? {
            Found::System(keeper) => return self.judge_system(internal, (name, keeper), password).await,
            Found::Account(account) => {
                let admits = account.admits(client);
                match account.stored {
                    _ if account.open && admits => return Ok(Known::Right(name)),
                    Some(stored) => (Some(stored), admits),
                    None => (internal.decoy(&name), false),
                }
            }
            Found::Stored(stored) => (Some(stored), true),
            Found::Nobody => (internal.decoy(&name), false),
        };
        let Some(stored) = stored else { return Ok(Known::Wrong) };
        let who = self.standing(&name);
        let judged = self.shared.authentication.judge(who, (&name, stored), password).await;
        let right = judged.map_err(|busy| Failed::Temporarily(busy.to_string()))?;
        Ok(if right && counts { Known::Right(name) } else { Known::Wrong })
    }

    async fn judge_system(
        &self,
        internal: &Internal,
        (name, keeper): (String, Keeper),
        password: Vec<u8>,
    ) -> Result<Known, Failed> {
        let who = self.standing(&name);
        // Nobody of this name: asked all the same, for a name that no account can have.
        let account = internal.system_name(&name, &keeper).unwrap_or(":").to_owned();
        let client = self.tx.client.address.to_string();
        let request = PasswordRequest { keeper, name: account, client, password };
        match self.shared.authentication.judge_system(who, request).await {
            Ok(SystemVerdict::Right) => Ok(Known::Right(name)),
            Ok(SystemVerdict::Wrong(pause, why)) => {
                if let Some(why) = why {
                    self.warn(&format!("SASL: {name}: {why}"));
                }
                self.pause(pause).await?;
                Ok(Known::Wrong)
            }
            Err(why) => {
                self.warn(&format!("SASL: the system's accounts can't be asked: {why}"));
                Err(Failed::Temporarily("the system's accounts can't be asked".to_owned()))
            }
        }
    }

    /// Waits, unless the session is to end.
    async fn pause(&self, wait: Duration) -> Result<(), Failed> {
        if wait.is_zero() {
            return Ok(());
        }
        let ear = self.seat.ear();
        tokio::select! {
            biased;
            () = tokio::time::sleep(wait) => Ok(()),
            _ = ear.dismissed() => Err(Failed::Temporarily(Lost.to_string())),
        }
    }

    async fn scram(&mut self, internal: &Internal, name: String, hash: Hash) -> Result<Known, Failed> {
        let found = self.found_to_judge(internal, &name).await?;
        let who = self.standing(&name);
        let (source, genuine) = match &found {
            Found::Account(account) if account.admits(self.tx.client.address) => (account.scram(hash), true),
            Found::Stored(stored) => (stored.scram(hash), true),
            _ => (None, false),
        };
        let files: Vec<_> = internal.files().map(|file| file.users()).collect();
        // Somebody who could have been meant: what they have stored says how to pretend.
        let like = || files.iter().find_map(|users| users.decoy(&name)?.scram(hash));
        let (source, genuine) = if source.is_some() { (source, genuine) } else { (like(), false) };
        let keys = self.shared.authentication.keys(who, (&name, hash), (source, genuine)).await;
        let keys = keys.map_err(|busy| Failed::Temporarily(busy.to_string()))?;
        Ok(Known::Scram(keys, name))
    }

    /// Whose turn it is.
    fn standing(&self, name: &str) -> (u64, Rank) {
        let guessing = self.shared.authentication.guessing();
        let attempt = self.attempt(&guessing, Some(name));
        let (network, failed) = guessing.standing(&attempt, authentication::now());
        let trusted = self.logging_in.as_ref().is_some_and(|logging_in| logging_in.trusted);
        (network, failed.filter(|_| !trusted).map_or(Rank::KNOWN, Rank::failed))
    }

    /// The same, kept in mind until the log-in is done.
    async fn found_to_judge(&mut self, internal: &Internal, name: &str) -> Result<Found, Failed> {
        let found = self.found(internal, name).await?;
        self.logging_in().judged_by = found.secrets().map(Box::new);
        Ok(found)
    }

    /// Whether the user who has shown to be one is there still, and by the same password: the users may have changed since
    /// the challenge, or while the hash was computed.
    async fn is_still_in(&mut self, internal: &Internal, login: &str) -> Result<bool, Failed> {
        let found = self.found(internal, login).await?;
        let is_same = |by: Box<Secrets>| found.secrets().is_some_and(|now| now == *by);
        Ok(found.lets_in(self.tx.client.address) && self.logging_in().judged_by.take().is_none_or(is_same))
    }

    /// The first place that knows the name.
    async fn found(&mut self, internal: &Internal, name: &str) -> Result<Found, Failed> {
        for place in &internal.places {
            match place {
                UsersPlace::File(file) => {
                    if let Some(account) = file.users().account(name) {
                        return Ok(Found::Account(Box::new(account.clone())));
                    }
                }
                UsersPlace::Table(table) => {
                    if internal.wants_likeness() {
                        self.look_for_likeness(internal, *table);
                    }
                    let said = self.table_says(*table, name.to_owned()).await;
                    let Some(value) = said.map_err(|error| unavailable(&error))? else { continue };
                    match Stored::parse(value.trim()) {
                        Ok(stored) => {
                            internal.has_seen(&stored);
                            return Ok(Found::Stored(stored));
                        }
                        Err(error) => {
                            self.warn(&format!("SASL: {name}: {error}"));
                            return Ok(Found::Nobody);
                        }
                    }
                }
                UsersPlace::System(keeper) => return Ok(Found::System(keeper.clone())),
            }
        }
        Ok(Found::Nobody)
    }

    /// Somebody of the table, so that names that nobody has cost the same from the first attempt on.
    fn look_for_likeness(&self, internal: &Internal, table: TableId) {
        let table = self.facts.snapshot().table(table);
        let stored =
            table.pairs().into_iter().flatten().find_map(|(_, value)| Stored::parse(value.trim()).ok());
        if let Some(stored) = stored {
            internal.has_seen(&stored);
        }
    }

    async fn table_says(&mut self, table: TableId, key: String) -> Result<Option<String>, LookupError> {
        self.looked_up(move |session| {
            let hit = session.facts.snapshot().table(table).lookup(&key)?;
            Ok(hit.map(|hit| hit.value.to_string()))
        })
        .await
    }

    /// The login name that the client's certificate, or its key, stands for.
    async fn certified(&mut self, internal: &Internal) -> Result<Option<String>, Failed> {
        let certificate = self.tx.tls.as_ref().and_then(|tls| tls.certificate.as_ref());
        let Some(certificate) = certificate.filter(|_| !internal.certificates.is_empty()) else {
            return Ok(None);
        };
        let keys = [certificate.fingerprint.clone(), certificate.public_key_fingerprint.clone()];
        let client = self.tx.client.address;
        for &table in &internal.certificates {
            for key in keys.iter().filter(|key| !key.is_empty()) {
                let said = self.table_says(table, key.clone()).await;
                let Some(login) = said.map_err(|error| unavailable(&error))? else { continue };
                let login = internal.named(login.trim());
                // Who is shut out of a users' file is shut out, and so is who has been taken out.
                let shut = internal
                    .files()
                    .any(|file| file.users().account(&login).is_some_and(|account| !account.admits(client)));
                let is_there = !login.is_empty() && self.found(internal, &login).await?.lets_in(client);
                return Ok(Some(login).filter(|_| is_there && !shut));
            }
        }
        Ok(None)
    }
}

fn unavailable(_: &LookupError) -> Failed {
    Failed::Temporarily("users can't be looked up".to_owned())
}

/// Random text without commas.
fn random() -> Option<String> {
    let mut bytes = [0; 18];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(base64::encode(&bytes))
}
