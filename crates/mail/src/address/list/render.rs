//! Writes an address list as a header: one blank or none between tokens, as each pair wants it, and a new line behind
//! the comma where the next address would reach beyond [`LINE_BYTES_MAX`].

use super::Node;
use super::lex::Token;

/// A line with its comma stays below this.
const LINE_BYTES_MAX: usize = 70;

/// What stands between two nodes.
enum Gap {
    Nothing,
    Blank,
    /// A comma that the text hadn't.
    Comma,
}

pub(super) fn header(name: &str, nodes: &[Node]) -> Vec<u8> {
    let mut lines = Lines { out: format!("{name}: ").into_bytes(), begun: 0, piece: Vec::new(), first: true };
    let mut last: Option<&Node> = None;
    for node in nodes {
        match gap(last, node) {
            Gap::Nothing => {}
            Gap::Blank => lines.piece.push(b' '),
            Gap::Comma => lines.comma(),
        }
        match node {
            Node::Other(Token::Op(b',')) => lines.comma(),
            Node::Other(token) => token.spell(&mut lines.piece),
            Node::Address { spelt, .. } => lines.piece.extend_from_slice(spelt),
        }
        last = Some(node);
    }
    lines.end_piece(0);
    lines.out
}

fn gap(last: Option<&Node>, next: &Node) -> Gap {
    use Node::{Address, Other};
    use Token::{Comment, Op};
    let is_word = |node: &Node| matches!(node, Other(token) if token.is_word());
    match (last, next) {
        (None | Some(Other(Op(b','))), _) | (_, Other(Op(b','))) => Gap::Nothing,
        (Some(Address { .. } | Other(Op(b'>' | b';'))), Address { .. }) => Gap::Comma,
        (_, Other(Op(b'<'))) => Gap::Blank,
        (Some(Other(Op(b':'))), Address { .. } | Other(Comment(_) | Op(b';'))) => Gap::Blank,
        (Some(Address { .. } | Other(Comment(_))), Other(Comment(_))) => Gap::Blank,
        (Some(Other(Comment(_))), Address { .. }) => Gap::Blank,
        (Some(last), Other(Comment(_))) if is_word(last) => Gap::Blank,
        (Some(Other(Comment(_))), next) if is_word(next) => Gap::Blank,
        (Some(last), next) if is_word(last) && is_word(next) => Gap::Blank,
        _ => Gap::Nothing,
    }
}

/// A header that grows by what stands between commas.
struct Lines {
    out: Vec<u8>,
    /// Where the present line begins.
    begun: usize,
    piece: Vec<u8>,
    /// No piece is there yet.
    first: bool,
}

impl Lines {
    fn comma(&mut self) {
        self.end_piece(1);
        self.out.push(b',');
    }

    /// Puts the piece where it fits; `behind` bytes come directly behind it.
    fn end_piece(&mut self, behind: usize) {
        if !self.first {
            let line = self.out.len().saturating_sub(self.begun);
            let length = line.saturating_add(self.piece.len()).saturating_add(1 + behind);
            if length < LINE_BYTES_MAX {
                self.out.push(b' ');
            } else {
                self.out.extend_from_slice(b"\n\t");
                self.begun = self.out.len();
            }
        }
        self.out.append(&mut self.piece);
        self.first = false;
    }
}
