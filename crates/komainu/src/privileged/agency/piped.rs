//! A message handed to the program of a `pipe` line.

use super::Agency;
use crate::clock;
use crate::deliver::command::{self, Program};
use crate::privileged::pipe_service::PipeService;
use crate::privileged::wire::{Answer, PipeRequest};
use mail::delivered::{Changed, Lines};
use std::fs::File;
use std::io::Read;

const PATH: &str = "/usr/bin:/bin";

/// Runs the program that one of these lines names; blocks.
pub(crate) fn pipe(
    services: &[PipeService],
    agency: Option<&Agency>,
    request: &PipeRequest,
    content: File,
) -> Answer {
    let service = services.iter().find(|service| service.name == request.service);
    let (Some(service), Some(agency)) = (service, agency) else {
        return Answer::Temporary("4.3.5 mail system configuration error".to_owned());
    };
    let ids = if agency.switches {
        let read = |path: &str| std::fs::read(path).map(|text| String::from_utf8_lossy(&text).into_owned());
        let (passwd, group) = (read("/etc/passwd"), read("/etc/group"));
        match service.ids(&passwd.unwrap_or_default(), &group.unwrap_or_default()) {
            Ok(ids) => Some(ids),
            Err(text) => return Answer::Temporary(text),
        }
    } else {
        None
    };
    let mut environment = agency.exported.clone();
    environment.push(("PATH".to_owned(), PATH.to_owned()));
    let program = match service.program(&request.values, (ids, &agency.plain_directory()), environment) {
        Ok(program) => Program { ending: agency.ending().clone(), ..program },
        Err(text) => return Answer::Temporary(text),
    };
    let now = clock::now().wall;
    let (head, lines) = service.lines(&request.values, now, &clock::zone(now));
    let content = content.take(request.length);
    let ran = if lines == Lines::plain() {
        command::run(&program, &mut head.as_bytes().chain(content))
    } else {
        command::run(&program, &mut head.as_bytes().chain(Changed::new(content, lines)))
    };
    let with = |text: String, warnings: &[String]| {
        warnings.iter().fold(text, |text, warning| format!("{text}\n{warning}"))
    };
    match ran.verdict(&program.shown, "pipe") {
        Ok(output) => Answer::Said(output.trim_end().to_owned()),
        Err(failure) => {
            let text = with(format!("{} {}", failure.dsn, failure.text), &failure.warnings);
            if failure.dsn.class == 4 { Answer::Temporary(text) } else { Answer::Permanent(text) }
        }
    }
}
