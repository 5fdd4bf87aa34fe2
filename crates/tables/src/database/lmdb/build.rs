//! An LMDB file built from the bottom: leaves of sorted rows, then a level of branches above, until one page is left.

use super::super::lmdb_page::{NODE_HEADER_BYTES, flag};
use super::super::{DatabaseError, Row};
use super::{KEY_BYTES_MAX, MAGIC, MAP_BYTES_MIN, NO_PAGE, PAGE_HEADER_BYTES, VERSION, overflow_pages};

const PAGE_BYTES: usize = 4096;
/// A node that is larger gets its value into pages of its own: two nodes fit a page.
const NODE_BYTES_MAX: usize = ((PAGE_BYTES - PAGE_HEADER_BYTES) / 2) - 2;

/// A page that is finished: the first key below it, its number.
struct Child {
    first_key: Vec<u8>,
    number: u64,
}

#[derive(Default)]
struct Counts {
    branches: u64,
    leaves: u64,
    overflows: u64,
    entries: u64,
    depth: u16,
}

struct Build {
    file: Vec<u8>,
    counts: Counts,
}

/// A page that is being filled.
struct Open {
    kind: usize,
    nodes: Vec<Vec<u8>>,
    first_key: Vec<u8>,
    free: usize,
}

/// An LMDB file of `rows`, which are sorted by key and have each key once.
///
/// # Errors
/// When a key is longer than [`KEY_BYTES_MAX`] or empty, or the rows are not in order.
pub fn write<'r>(rows: impl Iterator<Item = Row<'r>>) -> Result<Vec<u8>, DatabaseError> {
    let mut build = Build { file: vec![0u8; 2 * PAGE_BYTES], counts: Counts::default() };
    let mut children = build.leaves(rows)?;
    while children.len() > 1 {
        children = build.level(&children)?;
    }
    let root = children.first().map_or(NO_PAGE, |root| root.number);
    build.meta(0, &Counts::default(), NO_PAGE)?;
    let counts = std::mem::take(&mut build.counts);
    build.meta(1, &counts, root)?;
    Ok(build.file)
}

fn too_large<E>(_: E) -> DatabaseError {
    DatabaseError::Unwritable("the table is too large")
}

fn two(number: usize) -> Result<[u8; 2], DatabaseError> {
    u16::try_from(number).map(u16::to_le_bytes).map_err(too_large)
}

fn four(number: usize) -> Result<[u8; 4], DatabaseError> {
    u32::try_from(number).map(u32::to_le_bytes).map_err(too_large)
}

impl Build {
    fn leaves<'r>(&mut self, rows: impl Iterator<Item = Row<'r>>) -> Result<Vec<Child>, DatabaseError> {
        let mut children = Vec::new();
        let mut page: Option<Open> = None;
        let mut last: Option<Vec<u8>> = None;
        for (key, value) in rows {
            if key.is_empty() || key.len() > KEY_BYTES_MAX {
                return Err(DatabaseError::Unwritable(
                    "MDB_BAD_VALSIZE: Unsupported size of key/DB name/data, or wrong DUPFIXED size",
                ));
            }
            if last.as_deref().is_some_and(|last| last >= key.as_ref()) {
                return Err(DatabaseError::Unwritable("rows out of order"));
            }
            let node = self.leaf_node(&key, &value)?;
            self.put(&mut page, &mut children, flag::LEAF, (&key, node))?;
            self.counts.entries += 1;
            last = Some(key.into_owned());
        }
        if let Some(page) = page {
            self.finish(page, &mut children)?;
        }
        self.counts.leaves = u64::try_from(children.len()).map_err(too_large)?;
        self.counts.depth = u16::from(!children.is_empty());
        Ok(children)
    }

    fn leaf_node(&mut self, key: &[u8], value: &[u8]) -> Result<Vec<u8>, DatabaseError> {
        let is_big = NODE_HEADER_BYTES + key.len() + value.len() > NODE_BYTES_MAX;
        let mut node =
            Vec::with_capacity(NODE_HEADER_BYTES + key.len() + if is_big { 8 } else { value.len() });
        node.extend(four(value.len())?);
        node.extend(two(if is_big { flag::NODE_BIG } else { 0 })?);
        node.extend(two(key.len())?);
        node.extend_from_slice(key);
        if is_big {
            node.extend(self.overflow(value)?.to_le_bytes());
        } else {
            node.extend_from_slice(value);
        }
        Ok(node)
    }

    fn overflow(&mut self, value: &[u8]) -> Result<u64, DatabaseError> {
        let number = self.next_page()?;
        let pages = overflow_pages(value.len(), PAGE_BYTES);
        self.file.extend(number.to_le_bytes());
        self.file.extend(two(0)?);
        self.file.extend(two(flag::OVERFLOW)?);
        self.file.extend(four(pages)?);
        self.file.extend_from_slice(value);
        self.fill();
        self.counts.overflows += u64::try_from(pages).map_err(too_large)?;
        Ok(number)
    }

    /// One level of branches over `children`.
    fn level(&mut self, children: &[Child]) -> Result<Vec<Child>, DatabaseError> {
        let mut above = Vec::new();
        let mut page: Option<Open> = None;
        let mut left = children.len();
        for child in children {
            // LMDB wants two nodes in each branch: the last page mustn't get one alone.
            if left == 2
                && let Some(full) = page.take_if(|page| page.nodes.len() > 1 && !page.holds_two())
            {
                self.finish(full, &mut above)?;
            }
            left -= 1;
            // The first key of a branch is never looked at.
            let is_first =
                page.as_ref().is_none_or(|page| !page.takes(NODE_HEADER_BYTES + child.first_key.len()));
            let key: &[u8] = if is_first { b"" } else { &child.first_key };
            let mut node = child.number.to_le_bytes().get(..6).unwrap_or(&[]).to_vec();
            node.extend(two(key.len())?);
            node.extend_from_slice(key);
            if is_first && let Some(full) = page.take() {
                self.finish(full, &mut above)?;
            }
            self.put(&mut page, &mut above, flag::BRANCH, (&child.first_key, node))?;
        }
        if let Some(page) = page {
            self.finish(page, &mut above)?;
        }
        self.counts.branches += u64::try_from(above.len()).map_err(too_large)?;
        self.counts.depth += 1;
        Ok(above)
    }

    /// Puts a node into the open page, or into a new one.
    fn put(
        &mut self,
        page: &mut Option<Open>,
        done: &mut Vec<Child>,
        kind: usize,
        (key, node): (&[u8], Vec<u8>),
    ) -> Result<(), DatabaseError> {
        if let Some(full) = page.take_if(|page| !page.takes(node.len())) {
            self.finish(full, done)?;
        }
        let open = page.get_or_insert_with(|| Open::new(kind, key));
        open.free = open.free.saturating_sub(room(node.len()));
        open.nodes.push(node);
        Ok(())
    }

    fn finish(&mut self, page: Open, done: &mut Vec<Child>) -> Result<(), DatabaseError> {
        let number = self.next_page()?;
        let count = page.nodes.len();
        self.file.extend(number.to_le_bytes());
        self.file.extend(two(0)?);
        self.file.extend(two(page.kind)?);
        let lower = PAGE_HEADER_BYTES + count * 2;
        let sizes = page.nodes.iter().map(|node| even(node.len()));
        let upper = PAGE_BYTES - sizes.clone().sum::<usize>();
        self.file.extend(two(lower)?);
        self.file.extend(two(upper)?);
        let mut at = PAGE_BYTES;
        for size in sizes {
            at -= size;
            self.file.extend(two(at)?);
        }
        self.file.resize(self.file.len() + upper - lower, 0);
        // The first node stands last, as if they had been added one by one.
        for node in page.nodes.iter().rev() {
            self.file.extend_from_slice(node);
            self.file.resize(self.file.len() + even(node.len()) - node.len(), 0);
        }
        done.push(Child { first_key: page.first_key, number });
        Ok(())
    }

    fn next_page(&self) -> Result<u64, DatabaseError> {
        u64::try_from(self.file.len() / PAGE_BYTES).map_err(too_large)
    }

    /// Fills the last page up.
    fn fill(&mut self) {
        self.file.resize(self.file.len().next_multiple_of(PAGE_BYTES), 0);
    }

    fn meta(&mut self, number: u64, counts: &Counts, root: u64) -> Result<(), DatabaseError> {
        let pages = self.next_page()?;
        let map = self.file.len().checked_mul(2).and_then(|bytes| u64::try_from(bytes).ok());
        let map = map.ok_or_else(|| too_large(()))?.max(MAP_BYTES_MIN);
        let mut page = Vec::with_capacity(PAGE_BYTES);
        page.extend(number.to_le_bytes());
        page.extend(two(0)?);
        page.extend(two(flag::META)?);
        page.extend([0u8; 4]);
        page.extend(four(MAGIC)?);
        page.extend(four(VERSION)?);
        page.extend(0u64.to_le_bytes());
        page.extend(map.to_le_bytes());
        // The free pages: none. Their record holds the size of pages.
        page.extend(four(PAGE_BYTES)?);
        page.extend([0u8; 4]);
        page.extend([0u8; 32]);
        page.extend(NO_PAGE.to_le_bytes());
        page.extend([0u8; 6]);
        page.extend(counts.depth.to_le_bytes());
        for count in [counts.branches, counts.leaves, counts.overflows, counts.entries] {
            page.extend(count.to_le_bytes());
        }
        page.extend(root.to_le_bytes());
        page.extend(if root == NO_PAGE { 1u64 } else { pages - 1 }.to_le_bytes());
        page.extend(number.to_le_bytes());
        page.resize(PAGE_BYTES, 0);
        let at = usize::try_from(number).map_err(too_large)? * PAGE_BYTES;
        if let Some(seat) = self.file.get_mut(at..at + PAGE_BYTES) {
            seat.copy_from_slice(&page);
        }
        Ok(())
    }
}

/// Nodes start at even offsets.
fn even(bytes: usize) -> usize {
    bytes.next_multiple_of(2)
}

/// What a node takes of a page: itself and its offset.
fn room(node_bytes: usize) -> usize {
    even(node_bytes) + 2
}

impl Open {
    fn new(kind: usize, key: &[u8]) -> Open {
        Open { kind, nodes: Vec::new(), first_key: key.to_vec(), free: PAGE_BYTES - PAGE_HEADER_BYTES }
    }

    fn takes(&self, node_bytes: usize) -> bool {
        room(node_bytes) <= self.free
    }

    fn holds_two(&self) -> bool {
        self.free >= 2 * room(NODE_HEADER_BYTES + KEY_BYTES_MAX)
    }
}
