//! libpam, as far as the authenticator needs it: the one module that calls the C library.
//!
//! Every question without echo is answered with the one secret there is; any other question fails
//! the transaction, because FTP has no words for it. libpam's own pause after a failure is switched
//! off: it would hold an authenticator, and its length would tell a system user from an account of
//! the account file. The supervisor answers every failure late instead.
#![allow(unsafe_code, reason = "libpam is a C library; it is called here and only here")]

use std::{
    ffi::{CStr, CString, c_char, c_int, c_uint, c_void},
    fmt,
    ptr::{self, NonNull},
    slice,
};

use libpam_sys as pam;
use nix::libc;
use zeroize::Zeroizing;

/// The most questions libpam asks at a time (`PAM_MAX_NUM_MSG`).
const MAX_QUESTIONS: usize = 32;

/// What libpam answers instead of success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PamError {
    /// Its number, one of libpam's `PAM_…`.
    pub code: c_int,
    text: String,
}

impl fmt::Display for PamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PamError {
    fn of(code: c_int) -> PamError {
        // SAFETY: pam_strerror accepts any number, and no handle; what it returns is a constant of
        // libpam, or null.
        let text = unsafe { pam::pam_strerror(ptr::null(), code).as_ref() };
        // SAFETY: the constant ends with a NUL and is never changed.
        let text = text.map(|text| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned());
        PamError { code, text: text.unwrap_or_else(|| format!("error {code}")) }
    }
}

fn done(code: c_int) -> Result<(), PamError> {
    if code == pam::PAM_SUCCESS { Ok(()) } else { Err(PamError::of(code)) }
}

/// What the conversation answers: a secret with a NUL behind it. Nothing while nothing may be asked.
struct Answer(Option<Zeroizing<Vec<u8>>>);

/// One conversation with a stack of modules, from `pam_start` to `pam_end`.
pub struct Transaction {
    handle: NonNull<pam::pam_handle>,
    last: c_int,
    /// libpam holds a pointer to it until `pam_end`.
    _answer: Box<Answer>,
}

impl Transaction {
    /// Begins a transaction of `service` for `user`. Without a secret every question fails.
    ///
    /// # Errors
    /// What libpam says, or that a text has a NUL in it.
    pub fn start(
        service: &str,
        user: &str,
        secret: Option<&[u8]>,
    ) -> Result<Transaction, PamError> {
        let service = text(service)?;
        let user = text(user)?;
        let secret = match secret {
            Some(secret) if secret.contains(&0) => return Err(PamError::of(pam::PAM_CONV_ERR)),
            Some(secret) => {
                let mut copy = Zeroizing::new(Vec::with_capacity(secret.len().saturating_add(1)));
                copy.extend_from_slice(secret);
                copy.push(0);
                Some(copy)
            }
            None => None,
        };
        let answer = Box::new(Answer(secret));
        let mut conversation = pam::pam_conv {
            conv: converse,
            appdata_ptr: ptr::from_ref::<Answer>(&answer).cast_mut().cast(),
        };
        let mut handle = ptr::null_mut();
        // SAFETY: the texts end with a NUL and outlive the call; Linux-PAM copies the conversation,
        // and what its pointer names lives in the transaction, which ends before it.
        let code = unsafe {
            pam::pam_start(service.as_ptr(), user.as_ptr(), &mut conversation, &mut handle)
        };
        done(code)?;
        let handle = NonNull::new(handle).ok_or_else(|| PamError::of(pam::PAM_BUF_ERR))?;
        let transaction = Transaction { handle, last: code, _answer: answer };
        let pause: unsafe extern "C" fn(c_int, c_uint, *mut c_void) = no_pause;
        // SAFETY: the handle is alive; libpam keeps the address of a function that lives as long as
        // this program and has the type it calls it with (pam_fail_delay(3)).
        done(unsafe {
            pam::pam_set_item(handle.as_ptr(), pam::PAM_FAIL_DELAY, pause as *const _)
        })?;
        Ok(transaction)
    }

    /// Says where the user comes from (`PAM_RHOST`).
    ///
    /// # Errors
    /// What libpam says.
    pub fn set_remote_host(&mut self, host: &str) -> Result<(), PamError> {
        self.set(pam::PAM_RHOST, host)
    }

    /// Says on which terminal he is (`PAM_TTY`).
    ///
    /// # Errors
    /// What libpam says.
    pub fn set_terminal(&mut self, name: &str) -> Result<(), PamError> {
        self.set(pam::PAM_TTY, name)
    }

    fn set(&mut self, item: c_int, value: &str) -> Result<(), PamError> {
        let value = text(value)?;
        // SAFETY: the handle is alive, and libpam copies the text.
        self.note(unsafe { pam::pam_set_item(self.handle.as_ptr(), item, value.as_ptr().cast()) })
    }

    /// Whom it is about: modules may have changed the name (`PAM_USER`).
    ///
    /// # Errors
    /// What libpam says, or that the name is no text.
    pub fn user(&self) -> Result<String, PamError> {
        let mut item = ptr::null();
        // SAFETY: the handle is alive, and the pointer is written, not read.
        done(unsafe { pam::pam_get_item(self.handle.as_ptr(), pam::PAM_USER, &mut item) })?;
        let none = || PamError::of(pam::PAM_USER_UNKNOWN);
        let item = NonNull::new(item.cast::<c_char>().cast_mut()).ok_or_else(none)?;
        // SAFETY: PAM_USER is a text of libpam's that ends with a NUL; it is copied before any other
        // call could change it.
        let name = unsafe { CStr::from_ptr(item.as_ptr()) };
        name.to_str().map(str::to_owned).map_err(|_| none())
    }

    /// The stack's `auth` modules. An empty stored password is refused.
    ///
    /// # Errors
    /// What they say.
    pub fn authenticate(&mut self) -> Result<(), PamError> {
        let flags = pam::PAM_SILENT | pam::PAM_DISALLOW_NULL_AUTHTOK;
        // SAFETY: the handle is alive.
        self.note(unsafe { pam::pam_authenticate(self.handle.as_ptr(), flags) })
    }

    /// The stack's `account` modules.
    ///
    /// # Errors
    /// What they say.
    pub fn account_management(&mut self) -> Result<(), PamError> {
        // SAFETY: the handle is alive.
        self.note(unsafe { pam::pam_acct_mgmt(self.handle.as_ptr(), pam::PAM_SILENT) })
    }

    /// The beginning of a session, by the stack's `session` modules.
    ///
    /// # Errors
    /// What they say.
    pub fn open_session(&mut self) -> Result<(), PamError> {
        // SAFETY: the handle is alive.
        self.note(unsafe { pam::pam_open_session(self.handle.as_ptr(), pam::PAM_SILENT) })
    }

    /// Its end.
    ///
    /// # Errors
    /// What they say.
    pub fn close_session(&mut self) -> Result<(), PamError> {
        // SAFETY: the handle is alive.
        self.note(unsafe { pam::pam_close_session(self.handle.as_ptr(), pam::PAM_SILENT) })
    }

    fn note(&mut self, code: c_int) -> Result<(), PamError> {
        self.last = code;
        done(code)
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        // SAFETY: the handle is alive and not used again. There is nobody to tell a failure to.
        unsafe { pam::pam_end(self.handle.as_ptr(), self.last) };
    }
}

fn text(text: &str) -> Result<CString, PamError> {
    CString::new(text).map_err(|_| PamError::of(pam::PAM_SYSTEM_ERR))
}

/// Called in place of a pause after a failure.
unsafe extern "C" fn no_pause(_code: c_int, _microseconds: c_uint, _appdata: *mut c_void) {}

/// Answers the questions of the modules.
unsafe extern "C" fn converse(
    count: c_int,
    questions: *const *const pam::pam_message,
    responses: *mut *mut pam::pam_response,
    appdata: *mut c_void,
) -> c_int {
    let count = usize::try_from(count).unwrap_or(0);
    if count == 0 || count > MAX_QUESTIONS || questions.is_null() || responses.is_null() {
        return pam::PAM_CONV_ERR;
    }
    // SAFETY: it is the pointer that was given to `pam_start`, and lives until `pam_end`.
    let Some(Answer(secret)) = (unsafe { appdata.cast::<Answer>().as_ref() }) else {
        return pam::PAM_CONV_ERR;
    };
    // SAFETY: Linux-PAM passes an array of `count` pointers to questions (pam_conv(3)), which live
    // as long as this call.
    let questions = unsafe { slice::from_raw_parts(questions, count) };
    let mut asks = [false; MAX_QUESTIONS];
    for (ask, question) in asks.iter_mut().zip(questions) {
        // SAFETY: as above; null is looked for nevertheless.
        match unsafe { question.as_ref() }.map(|question| question.msg_style) {
            Some(pam::PAM_PROMPT_ECHO_OFF) if secret.is_some() => *ask = true,
            Some(pam::PAM_ERROR_MSG | pam::PAM_TEXT_INFO) => {}
            Some(_) | None => return pam::PAM_CONV_ERR,
        }
    }
    // SAFETY: calloc makes room for `count` answers of zeros, which is an empty answer each.
    let room = unsafe { libc::calloc(count, size_of::<pam::pam_response>()) };
    let Some(answers) = NonNull::new(room.cast::<pam::pam_response>()) else {
        return pam::PAM_BUF_ERR;
    };
    // SAFETY: it was just made for `count` answers and nobody else has it yet.
    let all = unsafe { slice::from_raw_parts_mut(answers.as_ptr(), count) };
    for (answer, _) in all.iter_mut().zip(asks).filter(|(_, ask)| *ask) {
        if let Some(secret) = secret {
            answer.resp = copy(secret);
        }
    }
    // SAFETY: the module reads the array from there, and it and libpam wipe and free what is in it.
    unsafe { *responses = answers.as_ptr() };
    pam::PAM_SUCCESS
}

/// A copy on the heap of C, where libpam frees it; null when there is no room, which no module takes
/// for a password.
fn copy(secret: &[u8]) -> *mut c_char {
    // SAFETY: malloc makes room for as many bytes as are copied into it, if it makes any.
    unsafe {
        let room = libc::malloc(secret.len());
        if !room.is_null() {
            ptr::copy_nonoverlapping(secret.as_ptr(), room.cast(), secret.len());
        }
        room.cast()
    }
}
