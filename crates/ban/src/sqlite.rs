//! Reads the tables of an SQLite 3 file, as fail2ban keeps its bans in one.
//!
//! Only what moving over needs: tables with row ids, walked from the first row to the last, with what a write-ahead log
//! has committed put on top. It never writes, takes no locks, and knows no SQL but the columns' names. Whatever the
//! file holds, each step has a bound: pages are counted, rows have a greatest length, and damage is an answer.

mod wal;

use std::ops::ControlFlow;

/// The longest row that is read.
const ROW_BYTES_MAX: u64 = 1 << 20;
/// The deepest tree: with two keys a page it would already hold more than a file can.
const DEPTH_MAX: usize = 40;
/// Of the tables that the file names.
const TABLES_MAX: usize = 1_000;

/// Where the bytes are.
pub trait Bytes {
    /// How many.
    fn len(&self) -> u64;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Fills `out` from `at` on.
    ///
    /// # Errors
    /// Why that can't be.
    fn read_at(&self, at: u64, out: &mut [u8]) -> Result<(), String>;
}

impl Bytes for &[u8] {
    fn len(&self) -> u64 {
        u64::try_from((**self).len()).unwrap_or(u64::MAX)
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> Result<(), String> {
        let at = usize::try_from(at).map_err(|error| error.to_string())?;
        let there = self.get(at..).and_then(|rest| rest.get(..out.len())).ok_or("the file ends early")?;
        out.copy_from_slice(there);
        Ok(())
    }
}

/// A value of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing, or a column that the table hasn't got.
    Null,
    /// A whole number.
    Integer(i64),
    /// Another number.
    Real(f64),
    /// Text; what isn't UTF-8 in it is replaced.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

impl Value {
    /// A number, also one written as text.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "what a number out of range means is not ours to say"
    )]
    pub fn number(&self) -> Option<i64> {
        match self {
            Value::Integer(number) => Some(*number),
            Value::Real(number) => Some(*number as i64),
            Value::Text(text) => text.trim().parse().ok(),
            Value::Null | Value::Blob(_) => None,
        }
    }

    /// A text.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        if let Value::Text(text) = self { Some(text) } else { None }
    }
}

/// An open file.
pub struct Database<'b> {
    file: &'b dyn Bytes,
    wal: Option<wal::Wal<'b>>,
    page_bytes: u32,
    usable: u32,
    pages: u32,
}

/// A table: where it begins, and its columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    root: u32,
    columns: Vec<String>,
}

/// What a walk left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Walked {
    /// Rows handed over.
    pub rows: u64,
    /// Rows that are longer than 1 MiB.
    pub too_long: u64,
}

/// Big-endian numbers of a page.
fn number(page: &[u8], at: usize, bytes: usize) -> Option<u64> {
    let there = page.get(at..at.checked_add(bytes)?)?;
    Some(there.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte)))
}

fn number_u32(page: &[u8], at: usize) -> Option<u32> {
    number(page, at, 4).and_then(|number| u32::try_from(number).ok())
}

/// A number of one to nine bytes, and what is behind it.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for at in 0..9 {
        let byte = *bytes.get(at)?;
        if at == 8 {
            return Some(((value << 8) | u64::from(byte), bytes.get(9..)?));
        }
        value = (value << 7) | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(at + 1..)?));
        }
    }
    None
}

const DAMAGED: &str = "the file is damaged";

impl<'b> Database<'b> {
    /// Opens a file, with its write-ahead log where there is one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn open(file: &'b dyn Bytes, wal: Option<&'b dyn Bytes>) -> Result<Database<'b>, String> {
        let mut header = [0; 100];
        file.read_at(0, &mut header).map_err(|_| "it is no SQLite file".to_owned())?;
        if !header.starts_with(b"SQLite format 3\0") {
            return Err("it is no SQLite file".to_owned());
        }
        let page_bytes = match number(&header, 16, 2) {
            Some(1) => 65_536,
            Some(size @ 512..=32_768) if size.is_power_of_two() => u32::try_from(size).unwrap_or(0),
            _ => return Err(format!("{DAMAGED}: its pages have no size")),
        };
        if number_u32(&header, 56) != Some(1) {
            return Err("its texts are not UTF-8".to_owned());
        }
        let reserved = number(&header, 20, 1).and_then(|bytes| u32::try_from(bytes).ok()).unwrap_or(0);
        let usable = page_bytes.saturating_sub(reserved);
        if usable < 480 {
            return Err(format!("{DAMAGED}: its pages are too small"));
        }
        let wal = wal.map(|log| wal::Wal::read(log, page_bytes)).transpose()?.flatten();
        let in_file = u32::try_from(file.len() / u64::from(page_bytes)).unwrap_or(u32::MAX);
        let pages = wal.as_ref().map_or(in_file, wal::Wal::pages);
        Ok(Database { file, wal, page_bytes, usable, pages })
    }

    fn page(&self, number: u32) -> Result<Vec<u8>, String> {
        if number == 0 || number > self.pages {
            return Err(format!("{DAMAGED}: there is no page {number}"));
        }
        let mut page = vec![0; usize::try_from(self.page_bytes).unwrap_or(0)];
        if let Some(wal) = &self.wal
            && wal.page(number, &mut page)?
        {
            return Ok(page);
        }
        self.file.read_at(u64::from(number - 1) * u64::from(self.page_bytes), &mut page)?;
        Ok(page)
    }

    /// A table by its name; none where the file hasn't got it.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn table(&self, name: &str) -> Result<Option<Table>, String> {
        let schema = ["type", "name", "tbl_name", "rootpage", "sql"].map(str::to_owned).to_vec();
        let schema = Table { root: 1, columns: schema };
        let (mut found, mut seen) = (None, 0);
        self.rows(&schema, &["type", "name", "rootpage", "sql"], &mut |row| {
            seen += 1;
            if let [Value::Text(kind), Value::Text(of), Value::Integer(root), Value::Text(sql)] = row
                && kind == "table"
                && of.eq_ignore_ascii_case(name)
            {
                found = u32::try_from(*root).ok().map(|root| Table { root, columns: columns(sql) });
            }
            if found.is_some() || seen > TABLES_MAX {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        Ok(found)
    }

    /// Hands over each row of a table, with the named columns in the order given, until told to stop.
    ///
    /// # Errors
    /// What is wrong with the file; the rows before were handed over.
    pub fn rows(
        &self,
        table: &Table,
        columns: &[&str],
        each: &mut dyn FnMut(&[Value]) -> ControlFlow<()>,
    ) -> Result<Walked, String> {
        let place = |name: &&str| table.columns.iter().position(|column| column.eq_ignore_ascii_case(name));
        let places: Vec<Option<usize>> = columns.iter().map(place).collect();
        let mut walked = Walked::default();
        let mut left = self.pages;
        // Pages that are still to be seen, the next one last.
        let mut stack = vec![(table.root, 0_usize)];
        while let Some((number, depth)) = stack.pop() {
            left = left.checked_sub(1).ok_or_else(|| format!("{DAMAGED}: its pages go in a circle"))?;
            let page = self.page(number)?;
            match self.leaf_or_children(number, &page)? {
                Node::Children(children) if depth < DEPTH_MAX => {
                    // No page has two parents: more children than pages are a circle.
                    if children.len() + stack.len() > usize::try_from(self.pages).unwrap_or(usize::MAX) {
                        return Err(format!("{DAMAGED}: its pages go in a circle"));
                    }
                    stack.extend(children.into_iter().rev().map(|child| (child, depth + 1)));
                }
                Node::Children(_) => return Err(format!("{DAMAGED}: its pages go too deep")),
                Node::Leaf(cells) => {
                    for cell in cells {
                        let Some(row) = self.payload(&page, cell)? else {
                            walked.too_long += 1;
                            continue;
                        };
                        let row = record(&row, &places).ok_or_else(|| format!("{DAMAGED}: page {number}"))?;
                        walked.rows += 1;
                        if each(&row).is_break() {
                            return Ok(walked);
                        }
                    }
                }
            }
        }
        Ok(walked)
    }

    fn leaf_or_children(&self, number: u32, page: &[u8]) -> Result<Node, String> {
        let damaged = || format!("{DAMAGED}: page {number}");
        let begin = if number == 1 { 100 } else { 0 };
        let kind = *page.get(begin).ok_or_else(damaged)?;
        let cells = self::number(page, begin + 3, 2).ok_or_else(damaged)?;
        let header = match kind {
            5 => 12,
            13 => 8,
            _ => return Err(damaged()),
        };
        let mut places = Vec::new();
        for cell in 0..usize::try_from(cells).unwrap_or(0) {
            let at = self::number(page, begin + header + 2 * cell, 2).ok_or_else(damaged)?;
            places.push(usize::try_from(at).unwrap_or(usize::MAX));
        }
        if kind == 13 {
            return Ok(Node::Leaf(places));
        }
        let mut children = Vec::with_capacity(places.len() + 1);
        for at in places {
            children.push(number_u32(page, at).ok_or_else(damaged)?);
        }
        children.push(number_u32(page, begin + 8).ok_or_else(damaged)?);
        Ok(Node::Children(children))
    }

    /// A row's bytes, also those on other pages; none where it is too long.
    fn payload(&self, page: &[u8], cell: usize) -> Result<Option<Vec<u8>>, String> {
        let damaged = || DAMAGED.to_owned();
        let usable = page.get(..usize::try_from(self.usable).unwrap_or(0)).ok_or_else(damaged)?;
        let (length, rest) = usable.get(cell..).and_then(varint).ok_or_else(damaged)?;
        let (_, rest) = varint(rest).ok_or_else(damaged)?;
        if length > ROW_BYTES_MAX {
            return Ok(None);
        }
        let (size, most) = (u64::from(self.usable), u64::from(self.usable) - 35);
        let local = if length <= most {
            length
        } else {
            let least = (size - 12) * 32 / 255 - 23;
            let fits = least + (length - least) % (size - 4);
            if fits <= most { fits } else { least }
        };
        let local = usize::try_from(local).unwrap_or(usize::MAX);
        let mut row = rest.get(..local).ok_or_else(damaged)?.to_vec();
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if row.len() == length {
            return Ok(Some(row));
        }
        let mut next = number_u32(rest, local).ok_or_else(damaged)?;
        while row.len() < length {
            let page = self.page(next)?;
            next = number_u32(&page, 0).ok_or_else(damaged)?;
            let there = page.get(4..usize::try_from(self.usable).unwrap_or(0)).ok_or_else(damaged)?;
            // Each page brings at least one byte, so a circle ends with the row's length.
            row.extend_from_slice(there.get(..there.len().min(length - row.len())).unwrap_or_default());
        }
        Ok(Some(row))
    }
}

/// What a page of a tree holds.
enum Node {
    Children(Vec<u32>),
    Leaf(Vec<usize>),
}

/// The values of a row at `places`.
fn record(row: &[u8], places: &[Option<usize>]) -> Option<Vec<Value>> {
    let (header, behind) = varint(row)?;
    let header = usize::try_from(header).ok()?;
    let mut kinds = row.get(row.len() - behind.len()..header)?;
    let mut body = row.get(header..)?;
    let mut out = vec![Value::Null; places.len()];
    let mut column = 0;
    while !kinds.is_empty() {
        let (kind, rest) = varint(kinds)?;
        kinds = rest;
        let length = match kind {
            0 | 8 | 9 => 0,
            1..=4 => usize::try_from(kind).ok()?,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return None,
            _ => usize::try_from((kind - 12) / 2).ok()?,
        };
        let bytes = body.get(..length)?;
        body = body.get(length..)?;
        for (_, value) in places.iter().zip(&mut out).filter(|(place, _)| **place == Some(column)) {
            *value = of(kind, bytes);
        }
        column += 1;
    }
    Some(out)
}

fn of(kind: u64, bytes: &[u8]) -> Value {
    match kind {
        0 => Value::Null,
        7 => Value::Real(f64::from_bits(number(bytes, 0, 8).unwrap_or(0))),
        8 => Value::Integer(0),
        9 => Value::Integer(1),
        1..=6 => {
            // The first byte carries the sign.
            let sign = if bytes.first().is_some_and(|byte| byte & 0x80 != 0) { -1 } else { 0 };
            Value::Integer(bytes.iter().fold(sign, |sum: i64, byte| (sum << 8) | i64::from(*byte)))
        }
        kind if kind % 2 == 0 => Value::Blob(bytes.to_vec()),
        _ => Value::Text(String::from_utf8_lossy(bytes).into_owned()),
    }
}

/// The columns' names of a `CREATE TABLE`.
fn columns(sql: &str) -> Vec<String> {
    let inside = sql.split_once('(').map_or("", |(_, rest)| rest);
    let (mut depth, mut parts) = (0_usize, vec![String::new()]);
    for c in inside.chars() {
        match c {
            '(' => depth += 1,
            ')' if depth == 0 => break,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    let words = parts.iter().filter_map(|part| part.split_whitespace().next());
    let is_column = |word: &&str| {
        let word = word.split('(').next().unwrap_or("").to_ascii_uppercase();
        !["FOREIGN", "UNIQUE", "PRIMARY", "CONSTRAINT", "CHECK"].contains(&word.as_str())
    };
    words.filter(is_column).map(|word| word.trim_matches(['"', '`', '[', ']', '\'']).to_owned()).collect()
}
