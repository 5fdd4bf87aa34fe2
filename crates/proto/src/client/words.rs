//! Postfix's words for what a conversation was doing when it broke.

pub(super) const GREETING: &str = "receiving the initial server greeting";
pub(super) const EHLO: &str = "performing the EHLO handshake";
pub(super) const HELO: &str = "performing the HELO handshake";
pub(super) const LHLO: &str = "performing the LHLO handshake";
pub(super) const STARTTLS: &str = "receiving the STARTTLS response";
pub(super) const MAIL: &str = "sending MAIL FROM";
pub(super) const RCPT: &str = "sending RCPT TO";
pub(super) const DATA: &str = "sending DATA command";
pub(super) const BODY: &str = "sending message body";
pub(super) const DOT: &str = "sending end of data -- message may be sent more than once";
pub(super) const RSET: &str = "sending RSET command";
pub(super) const QUIT: &str = "sending QUIT command";
pub(super) const SENDING: &str = "sending ";
pub(super) const FORWARD_NAME: &str = "sending XFORWARD name/address";
pub(super) const FORWARD_HELO: &str = "sending XFORWARD helo/protocol";
