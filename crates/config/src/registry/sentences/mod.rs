//! What each parameter is for, in one sentence: for docs/reference, `komainu conf --about` and whoever asks.
//!
//! Tables beside the rows, file by file, so that a row stays one line. The words are our own; what a value may be
//! in full is in postconf(5).

mod a_to_d;
mod e_to_l;
mod m_to_o;
mod own;
mod p_to_r;
mod removed;
mod s_to_smtp;
mod smtpd;
mod t_to_z;

/// In the order of the rows' files.
pub(super) const FILES: [&[(&str, &str)]; 9] = [
    own::SENTENCES,
    a_to_d::SENTENCES,
    e_to_l::SENTENCES,
    m_to_o::SENTENCES,
    p_to_r::SENTENCES,
    s_to_smtp::SENTENCES,
    smtpd::SENTENCES,
    t_to_z::SENTENCES,
    removed::SENTENCES,
];
