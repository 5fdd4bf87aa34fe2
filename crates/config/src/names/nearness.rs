//! Which known name a word was most likely meant to be.
//!
//! First by what people really do: another case, `-` for `_`, `_` too many or too few, `smtp_` for `smtpd_`, words
//! in another order; then by letters added, dropped, changed or swapped (T2.12).

/// What a word is near to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Near<'a> {
    /// One name, and no other as near.
    One(&'a str),
    /// Several, as near as each other; two at least.
    Several(Vec<&'a str>),
    /// None.
    Nothing,
}

/// What `word` is near to among `candidates`.
pub(crate) fn nearness<'a>(word: &str, candidates: impl Iterator<Item = &'a str> + Clone) -> Near<'a> {
    if word.len() > 128 || word.is_empty() {
        return Near::Nothing;
    }
    let plain = plain(word);
    let squeezed = squeezed(&plain);
    let same = candidates.clone().find(|name| name.bytes().filter(|b| *b != b'_').eq(squeezed.bytes()));
    if let Some(name) = same {
        return Near::One(name);
    }
    match by_letters(&plain, candidates.clone()) {
        Near::Nothing => {}
        near => return near,
    }
    let sorted = sorted(&plain);
    if sorted.len() > 2
        && let Some(name) =
            candidates.clone().find(|name| name.len() == plain.len() && self::sorted(name) == sorted)
    {
        return Near::One(name);
    }
    by_words(&plain, candidates)
}

/// The candidate that is most like `word`, when one is like enough.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    match nearness(word, candidates) {
        Near::One(name) => Some(name),
        Near::Several(names) => names.first().copied(),
        Near::Nothing => None,
    }
}

/// In small letters, with `_` for `-`, and without what isn't ASCII.
fn plain(word: &str) -> String {
    let letters = word.chars().filter(char::is_ascii_graphic);
    letters.map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect()
}

fn squeezed(word: &str) -> String {
    word.chars().filter(|c| *c != '_').collect()
}

fn sorted(word: &str) -> Vec<&str> {
    let mut words: Vec<&str> = word.split('_').filter(|word| !word.is_empty()).collect();
    words.sort_unstable();
    words
}

fn by_letters<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Near<'a> {
    // A wrong letter for each five, and three at most: farther off it is another word.
    let limit = (word.chars().count() / 5).clamp(1, 3);
    let mut best: Vec<&str> = Vec::new();
    let mut least = limit;
    for candidate in candidates.filter(|candidate| candidate.len().abs_diff(word.len()) <= limit) {
        let Some(distance) = distance(word, candidate, least) else { continue };
        if distance < least {
            best.clear();
            least = distance;
        }
        best.push(candidate);
    }
    several(best)
}

/// `sasl_auth_enable`, `smtpd_tls_cert`: names that have one word more, at their beginning or end; and
/// `smtps_tls_cert_file`: names that have another first word.
fn by_words<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Near<'a> {
    if !word.contains('_') {
        return Near::Nothing;
    }
    let rest = word.split_once('_').filter(|(first, _)| SERVICES.contains(first)).map(|(_, rest)| rest);
    let one_more = |name: &str| {
        let before = name.strip_suffix(word).and_then(|rest| rest.strip_suffix('_'));
        let behind = name.strip_prefix(word).and_then(|rest| rest.strip_prefix('_'));
        before.or(behind).is_some_and(|more| !more.is_empty() && !more.contains('_'))
            || rest.is_some_and(|rest| name.strip_prefix("smtpd_").is_some_and(|own| own == rest))
    };
    let found: Vec<&str> = candidates.filter(|name| one_more(name)).collect();
    if found.len() > 4 { Near::Nothing } else { several(found) }
}

/// First words that stand for the SMTP server in names that people make up.
const SERVICES: [&str; 8] =
    ["smtps", "submission", "submissions", "postfix", "server", "sasl", "smtpserver", "esmtpd"];

fn several(found: Vec<&str>) -> Near<'_> {
    match found.as_slice() {
        [] => Near::Nothing,
        [one] => Near::One(one),
        _ => Near::Several(found),
    }
}

/// How many letters to add, delete, change or swap with their neighbours to come from `a` to `b`; `None` when
/// more than `limit`. Only cells no farther than that from the diagonal can count.
pub(super) fn distance(a: &str, b: &str, limit: usize) -> Option<usize> {
    const FAR: usize = usize::MAX / 2;
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut before: Vec<usize> = vec![FAR; b.len() + 1];
    let mut row: Vec<usize> = (0..=b.len()).collect();
    let mut next: Vec<usize> = vec![FAR; b.len() + 1];
    for (i, x) in a.iter().enumerate() {
        next.fill(FAR);
        let mut least = FAR;
        if let Some(first) = next.first_mut().filter(|_| i < limit) {
            *first = i + 1;
            least = i + 1;
        }
        let band = i.saturating_sub(limit)..(i + limit + 1).min(b.len());
        for (j, y) in b.iter().enumerate().take(band.end).skip(band.start) {
            let cell = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(FAR);
            let change = cell(&row, j) + usize::from(x != y);
            let mut best = change.min(cell(&row, j + 1) + 1).min(cell(&next, j) + 1);
            if i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x) {
                best = best.min(cell(&before, j - 1) + 1);
            }
            if let Some(cell) = next.get_mut(j + 1) {
                *cell = best;
            }
            least = least.min(best);
        }
        if least > limit && row.iter().all(|cell| *cell > limit) {
            return None;
        }
        std::mem::swap(&mut before, &mut row);
        std::mem::swap(&mut row, &mut next);
    }
    row.last().copied().filter(|distance| *distance <= limit)
}
