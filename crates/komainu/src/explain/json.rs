//! A played session as JSON: one object, stable keys.

use super::log_line::Found;
use super::outcomes::Otherwise;
use super::text::{answer_text, effect_text, question_text};
use super::walk::{Asked, Exchange, Told, Walk};
use config::Place;
use policy::Outcome;
use serde_json::{Value, json};

/// The session.
#[must_use]
pub fn render(walk: &Walk, found: &[Otherwise]) -> Value {
    json!({
        "exchanges": walk.exchanges.iter().map(exchange).collect::<Vec<_>>(),
        "assumed": walk.assumed.iter().map(|(question, answer)| json!({
            "question": question_text(question),
            "answer": answer_text(answer),
        })).collect::<Vec<_>>(),
        "otherwise": found.iter().map(|other| json!({
            "question": question_text(&other.question),
            "answer": answer_text(&other.answer),
            "besides": other.besides.iter().map(|(question, answer)| json!({
                "question": question_text(question),
                "answer": answer_text(answer),
            })).collect::<Vec<_>>(),
            "command": other.command,
            "reply": other.reply,
        })).collect::<Vec<_>>(),
    })
}

/// The session behind a logged line, and what must have been answered for it.
#[must_use]
pub fn render_line(found: &Found) -> Value {
    let mut all = render(&found.walk, &[]);
    let pair = |(question, answer): &(policy::Question, policy::Answer)| json!({ "question": question_text(question), "answer": answer_text(answer) });
    if let Some(object) = all.as_object_mut() {
        object.insert("supposed".to_owned(), found.supposed.iter().map(pair).collect());
        object.insert("unlike_today".to_owned(), found.then.is_some().into());
        object.insert("made_by".to_owned(), found.told.as_ref().map(step).into());
    }
    all
}

fn exchange(exchange: &Exchange) -> Value {
    json!({
        "command": exchange.command,
        "replies": exchange.replies,
        "steps": exchange.steps.iter().map(step).collect::<Vec<_>>(),
        "asked": exchange.asked.iter().map(asked).collect::<Vec<_>>(),
        "not_reached": exchange.unreached.iter().flat_map(|list| &list.checks).collect::<Vec<_>>(),
        "beyond_the_lists": exchange.beyond,
        "waits_for_rcpt": exchange.waits.map(policy::Stage::parameter),
        "log": exchange.log,
    })
}

fn step(told: &Told) -> Value {
    let step = &told.step;
    let (word, reply) = match &step.outcome {
        Outcome::Dunno => ("dunno", None),
        Outcome::Permit => ("permit", None),
        Outcome::Reject(reply) => ("reject", Some(reply.to_string())),
        Outcome::WouldReject(reply) => ("would_reject", Some(reply.to_string())),
        Outcome::DeferIfPermit(reply) => ("defer_if_permit", Some(reply.to_string())),
        Outcome::DeferIfReject(reply) => ("defer_if_reject", Some(reply.to_string())),
        Outcome::Nested => ("nested", None),
        Outcome::Skipped(why) => ("skipped", Some(why.clone())),
        Outcome::Did(effect) => ("did", Some(effect_text(effect))),
    };
    json!({
        "list": step.stage.parameter(),
        "depth": step.depth,
        "check": step.check,
        "place": place(&step.place),
        "outcome": word,
        "reply": reply,
        "table_line": step.line.as_ref().map(|line| json!({
            "table": line.table,
            "key": line.key,
            "value": line.value,
            "place": place(&line.place),
        })),
        "remark": step.remark,
        "asked": told.asked.iter().map(asked).collect::<Vec<_>>(),
    })
}

fn asked(asked: &Asked) -> Value {
    json!({
        "question": question_text(&asked.question),
        "answer": answer_text(&asked.answer),
        "assumed": asked.assumed,
    })
}

fn place(place: &Place) -> Value {
    match place.path() {
        Some(path) => json!({
            "file": path.display().to_string(),
            "line": place.line(),
            "column": place.column(),
        }),
        None => Value::Null,
    }
}
