//! libpam, loaded when it is wanted: the only calls of C's here, each with why it is sound.
//!
//! Linux-PAM's interface (pam(3), security/_pam_types.h), which hasn't changed since libpam.so.0 has that name. One
//! question is asked in a process that does nothing else and has one thread. Modules hear the password wherever they
//! prompt without echo, and nothing else; root never passes. What isn't done: sessions, credentials, new passwords.
#![expect(unsafe_code, reason = "libpam's interface is C's, and so is its conversation with modules")]

use super::Verdict;
use libloading::Library;
use std::cell::Cell;
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::ptr;
use std::time::{Duration, Instant};

const NAME: &str = "libpam.so.0";
const MISSING: &str =
    "install PAM's library: libpam0g in Debian, pam in Fedora and Arch, linux-pam in Alpine";

const SUCCESS: c_int = 0;
const BUFFER_ERROR: c_int = 5;
const PERM_DENIED: c_int = 6;
const AUTH_ERR: c_int = 7;
const USER_UNKNOWN: c_int = 10;
const MAXTRIES: c_int = 11;
const NEW_AUTHTOK_REQD: c_int = 12;
const ACCT_EXPIRED: c_int = 13;
const CONV_ERR: c_int = 19;
const AUTHTOK_EXPIRED: c_int = 27;

const ITEM_USER: c_int = 2;
const ITEM_TTY: c_int = 3;
const ITEM_RHOST: c_int = 4;
const ITEM_FAIL_DELAY: c_int = 10;

const PROMPT_ECHO_OFF: c_int = 1;
const ERROR_MSG: c_int = 3;
const TEXT_INFO: c_int = 4;
/// PAM_MAX_NUM_MSG
const MESSAGES_MAX: usize = 32;

const SILENT: c_int = 0x8000;
const DISALLOW_NULL_AUTHTOK: c_int = 1;

/// After a right password of somebody who may not come in: as long as pam_unix wants after a wrong one.
const REFUSAL: Duration = Duration::from_secs(2);

/// `pam_handle_t`, which only libpam looks into.
#[repr(C)]
struct Transaction {
    _opaque: [u8; 0],
}

/// `struct pam_message`
#[repr(C)]
struct Prompt {
    style: c_int,
    text: *const c_char,
}

/// `struct pam_response`
#[repr(C)]
struct Response {
    text: *mut c_char,
    code: c_int,
}

type Answer = unsafe extern "C" fn(c_int, *mut *const Prompt, *mut *mut Response, *mut c_void) -> c_int;
type Delay = unsafe extern "C" fn(c_int, c_uint, *mut c_void);

/// `struct pam_conv`
#[repr(C)]
struct Conversation {
    answer: Answer,
    data: *mut c_void,
}

type Start =
    unsafe extern "C" fn(*const c_char, *const c_char, *const Conversation, *mut *mut Transaction) -> c_int;
type SetItem = unsafe extern "C" fn(*mut Transaction, c_int, *const c_void) -> c_int;
type ItemOf = unsafe extern "C" fn(*const Transaction, c_int, *mut *const c_void) -> c_int;
type Step = unsafe extern "C" fn(*mut Transaction, c_int) -> c_int;
type Words = unsafe extern "C" fn(*mut Transaction, c_int) -> *const c_char;

/// libpam's functions, and the library that they live in.
pub(super) struct Pam {
    start: Start,
    set_item: SetItem,
    item: ItemOf,
    authenticate: Step,
    account: Step,
    end: Step,
    words: Words,
    _library: Library,
}

/// One question.
pub(super) struct Asked {
    pub(super) service: CString,
    pub(super) user: CString,
    /// The client's address.
    pub(super) client: CString,
    pub(super) password: CString,
}

/// What modules may be told, and what they asked for.
struct Held {
    password: CString,
    /// Microseconds to wait after a wrong password.
    delay: Cell<c_uint>,
}

impl Pam {
    /// Loads the library.
    ///
    /// # Errors
    /// Why that can't be, and what to install.
    pub(super) fn load() -> Result<Pam, String> {
        // SAFETY: what libpam and the libraries that it needs do as they are loaded is theirs, and the system's own;
        // this process has one thread, which is all that they could ask for.
        let library = unsafe { Library::new(NAME) }.map_err(|error| format!("{error}; {MISSING}"))?;
        // SAFETY: each name is that of the function of pam(3) whose signature the type writes down. The pointers are
        // copied out of their symbols into a structure that keeps the library for as long as it keeps them.
        let functions = || unsafe {
            Ok::<_, libloading::Error>((
                *library.get::<Start>(b"pam_start\0")?,
                *library.get::<SetItem>(b"pam_set_item\0")?,
                *library.get::<ItemOf>(b"pam_get_item\0")?,
                *library.get::<Step>(b"pam_authenticate\0")?,
                *library.get::<Step>(b"pam_acct_mgmt\0")?,
                *library.get::<Step>(b"pam_end\0")?,
                *library.get::<Words>(b"pam_strerror\0")?,
            ))
        };
        let (start, set_item, item, authenticate, account, end, words) =
            functions().map_err(|error| format!("{NAME}: {error}"))?;
        Ok(Pam { start, set_item, item, authenticate, account, end, words, _library: library })
    }

    /// Whether this is somebody's password, who may come in.
    pub(super) fn ask(&self, asked: Asked) -> Verdict {
        let Asked { service, user, client, password } = asked;
        if user.is_empty() {
            return Verdict::Wrong(Duration::ZERO, String::new());
        }
        if is_root(&user) {
            return Verdict::Wrong(Duration::ZERO, "root can't log in here".to_owned());
        }
        let held = Held { password, delay: Cell::new(0) };
        let data = (&raw const held).cast_mut().cast::<c_void>();
        let conversation = Conversation { answer, data };
        let mut transaction = ptr::null_mut();
        // SAFETY: the texts end in NUL and outlive the call, which copies them; `conversation` is copied, and what its
        // data point to, `held`, outlives the transaction, which ends below before this function returns.
        let code = unsafe {
            (self.start)(service.as_ptr(), user.as_ptr(), &raw const conversation, &raw mut transaction)
        };
        if code != SUCCESS || transaction.is_null() {
            return Verdict::Unable(format!("pam_start: error {code}"));
        }
        let (code, verdict) = self.go_through(transaction, (&client, &held));
        // SAFETY: the transaction was made by pam_start, and isn't used after this.
        unsafe { (self.end)(transaction, code) };
        verdict
    }

    fn go_through(&self, transaction: *mut Transaction, (client, held): (&CStr, &Held)) -> (c_int, Verdict) {
        let delay: Delay = note_delay;
        let items = [
            (ITEM_RHOST, client.as_ptr().cast::<c_void>()),
            // Modules such as pam_access want one.
            (ITEM_TTY, c"komainu".as_ptr().cast()),
            (ITEM_FAIL_DELAY, delay as *const c_void),
        ];
        for (item, value) in items {
            // SAFETY: the transaction is open; texts end in NUL and are copied; the delay is a function of the type that
            // pam_fail_delay(3) gives it, for as long as the program runs.
            let code = unsafe { (self.set_item)(transaction, item, value) };
            if code != SUCCESS {
                return (code, Verdict::Unable(self.describe(transaction, code)));
            }
        }
        let began = Instant::now();
        // SAFETY: the transaction is open, and its conversation as pam_start's caller promised.
        let code = unsafe { (self.authenticate)(transaction, SILENT | DISALLOW_NULL_AUTHTOK) };
        if code != SUCCESS {
            let pause = left(Duration::from_micros(held.delay.get().into()), began);
            let why = self.describe(transaction, code);
            return (
                code,
                match code {
                    AUTH_ERR | USER_UNKNOWN => Verdict::Wrong(pause, String::new()),
                    PERM_DENIED | MAXTRIES | ACCT_EXPIRED | AUTHTOK_EXPIRED | NEW_AUTHTOK_REQD => {
                        Verdict::Wrong(pause, why)
                    }
                    _ => Verdict::Unable(why),
                },
            );
        }
        // SAFETY: as above.
        let code = unsafe { (self.account)(transaction, SILENT | DISALLOW_NULL_AUTHTOK) };
        let verdict = match code {
            SUCCESS if self.became_root(transaction) => {
                Verdict::Wrong(Duration::ZERO, "root can't log in here".to_owned())
            }
            SUCCESS => Verdict::Right,
            PERM_DENIED | AUTH_ERR | USER_UNKNOWN | NEW_AUTHTOK_REQD | ACCT_EXPIRED | AUTHTOK_EXPIRED => {
                Verdict::Wrong(left(REFUSAL, began), self.describe(transaction, code))
            }
            _ => Verdict::Unable(self.describe(transaction, code)),
        };
        (code, verdict)
    }

    /// Modules may have found another name for the user.
    fn became_root(&self, transaction: *mut Transaction) -> bool {
        let mut name = ptr::null();
        // SAFETY: the transaction is open; the item is a text that libpam keeps until the item is set anew.
        let code = unsafe { (self.item)(transaction, ITEM_USER, &raw mut name) };
        if code != SUCCESS || name.is_null() {
            return true;
        }
        // SAFETY: PAM_USER is a text that ends in NUL, and nothing sets it while this one is read.
        is_root(unsafe { CStr::from_ptr(name.cast()) })
    }

    fn describe(&self, transaction: *mut Transaction, code: c_int) -> String {
        // SAFETY: the transaction is open, and any number is allowed.
        let words = unsafe { (self.words)(transaction, code) };
        if words.is_null() {
            return format!("error {code}");
        }
        // SAFETY: a text of libpam's own that ends in NUL and lives on.
        let words = unsafe { CStr::from_ptr(words) }.to_string_lossy();
        words.replace(char::is_control, " ")
    }
}

/// What is left of a pause since it began: counted from there, it covers what one account costs more than another.
fn left(pause: Duration, began: Instant) -> Duration {
    pause.saturating_sub(began.elapsed())
}

/// Whether an account has user id 0, wherever the system has its accounts from.
fn is_root(name: &CStr) -> bool {
    // SAFETY: the name ends in NUL. What comes back lies in memory of libc's that the next such call overwrites: it is
    // read at once, and this process has no other thread.
    unsafe { libc::getpwnam(name.as_ptr()).as_ref() }.is_some_and(|account| account.pw_uid == 0)
}

/// Answers a module's prompts (pam_conv(3)).
///
/// # Safety
/// Called by libpam alone: `prompts` are `count` pointers, `responses` is where to put the answer, `data` is [`Held`].
unsafe extern "C" fn answer(
    count: c_int,
    prompts: *mut *const Prompt,
    responses: *mut *mut Response,
    data: *mut c_void,
) -> c_int {
    let count = usize::try_from(count).unwrap_or(0);
    if count == 0 || count > MESSAGES_MAX || prompts.is_null() || responses.is_null() {
        return CONV_ERR;
    }
    // SAFETY: `data` is what pam_start was given, and that lives; nothing else looks at it meanwhile.
    let Some(held) = (unsafe { data.cast::<Held>().as_ref() }) else { return CONV_ERR };
    // SAFETY: so many pointers, by the caller's promise.
    let prompts = unsafe { std::slice::from_raw_parts(prompts.cast_const(), count) };
    // SAFETY: each points to a prompt for as long as this call lasts, or nowhere.
    let styles = prompts.iter().map(|&prompt| unsafe { prompt.as_ref() }.map(|prompt| prompt.style));
    let styles: Vec<Option<c_int>> = styles.collect();
    if !styles.iter().all(|style| matches!(style, Some(PROMPT_ECHO_OFF | ERROR_MSG | TEXT_INFO))) {
        return CONV_ERR;
    }
    // SAFETY: memory of libc's, zeroed: null pointers and zeros are responses. The caller frees it with free(3).
    let said = unsafe { libc::calloc(count, size_of::<Response>()) }.cast::<Response>();
    if said.is_null() {
        return BUFFER_ERROR;
    }
    for (place, style) in styles.iter().enumerate() {
        if *style == Some(PROMPT_ECHO_OFF) {
            // SAFETY: `place` is below `count`, so within what was allocated; the password ends in NUL, and its copy is
            // the caller's to free. Where there is no memory the copy is null, which modules take for no answer.
            unsafe { (*said.add(place)).text = libc::strdup(held.password.as_ptr()) };
        }
    }
    // SAFETY: checked not to be null; the caller's place for the answer.
    unsafe { *responses = said };
    SUCCESS
}

/// Notes how long a failure should take, and doesn't wait: the session does (pam_fail_delay(3)).
///
/// # Safety
/// Called by libpam alone: `data` is [`Held`].
unsafe extern "C" fn note_delay(_: c_int, microseconds: c_uint, data: *mut c_void) {
    // SAFETY: as in `answer`.
    if let Some(held) = unsafe { data.cast::<Held>().as_ref() } {
        held.delay.set(microseconds);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_has_user_id_0() {
        assert!(is_root(c"root"));
        assert!(!is_root(c"nobody") && !is_root(c"nobody-has-this-name") && !is_root(c""));
    }

    /// What a module would hear.
    fn heard(styles: &[c_int], count: c_int) -> Result<Vec<Option<String>>, c_int> {
        let held = Held { password: c"secret".into(), delay: Cell::new(0) };
        let prompts: Vec<Prompt> =
            styles.iter().map(|&style| Prompt { style, text: c"?".as_ptr() }).collect();
        let mut pointers: Vec<*const Prompt> = prompts.iter().map(ptr::from_ref).collect();
        let mut responses = ptr::null_mut();
        let data = (&raw const held).cast_mut().cast();
        // SAFETY: as libpam calls it, with as many prompts as are said to be there, or none where the number is odd.
        let code = unsafe { answer(count, pointers.as_mut_ptr(), &raw mut responses, data) };
        if code != SUCCESS {
            return Err(code);
        }
        let mut texts = Vec::new();
        for place in 0..styles.len() {
            // SAFETY: so many responses were allocated; their texts are null, or end in NUL, and are freed once.
            unsafe {
                let text = (*responses.add(place)).text;
                texts.push((!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned()));
                libc::free(text.cast());
            }
        }
        // SAFETY: allocated by `answer`, freed once.
        unsafe { libc::free(responses.cast()) };
        Ok(texts)
    }

    #[test]
    fn modules_hear_the_password_where_nothing_is_echoed() {
        let secret = || Some("secret".to_owned());
        assert_eq!(heard(&[1], 1), Ok(vec![secret()]));
        assert_eq!(heard(&[4, 1, 3], 3), Ok(vec![None, secret(), None]));
        // With echo, radio buttons, binary prompts.
        for odd in [2, 5, 7, 0, -1] {
            assert_eq!(heard(&[1, odd], 2), Err(CONV_ERR), "{odd}");
        }
        for count in [0, -1, 33] {
            assert_eq!(heard(&[1], count), Err(CONV_ERR), "{count}");
        }
    }

    #[test]
    fn delays_are_noted() {
        let held = Held { password: c"".into(), delay: Cell::new(0) };
        // SAFETY: as libpam calls it.
        unsafe { note_delay(AUTH_ERR, 2_000_000, (&raw const held).cast_mut().cast()) };
        assert_eq!(held.delay.get(), 2_000_000);
    }
}
