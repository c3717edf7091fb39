//! USER, PASS, ACCT, REIN and QUIT (RFC 959 §4.1.1).

use std::cell::RefCell;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::auth::{Account, Attempt, AuthError, Patience};
use crate::config::{self, Occasion};
use crate::control::alias::Aliases;
use crate::control::answer::Answer;
use crate::control::arg::text::Secret;
use crate::control::charset::Speech;
use crate::control::command::Verb;
use crate::control::kinds::LoginResult;
use crate::control::left::uploader_name;
use crate::control::refusal::Refusal;
use crate::control::reply::{Code, Reply};
use crate::control::session::Session;
use crate::control::state::{Login, SessionState, User};
use crate::control::verbs::security;
use crate::events::{Outcome, Owner};
use crate::log::{Event, escaped, path as quoted};
use crate::rights::{self, Acting};
use crate::tls::Layer;
use crate::vfs::{Files, FsError, Home, Uploader, VirtualPath};

/// Delay of the reply to the first failed login; with each further one, the delay grows by
/// this much. It hides whether the user exists, and slows down guessing.
const PENALTY: Duration = Duration::from_millis(500);

/// How long a login may wait for the check of its password if there is no `login_timeout`.
const WAITING: Duration = Duration::from_secs(60);

/// USER. The reply does not tell whether the user exists.
pub(crate) fn user(session: &mut Session, name: &[u8]) -> Result<Reply, Refusal> {
    may_come(session, name)?;
    let anonymous = session.settings.users.is_anonymous(name);
    session.log_out();
    session.state.login = Login::Named(name.to_vec());
    let text = if anonymous {
        "Any password will do; your e-mail address is customary"
    } else {
        "Password required"
    };
    Ok(Reply::new(Code::NeedPassword, text))
}

/// PASS: checks the password and logs the user in.
pub(crate) fn password(
    session: &mut Session,
    verb: &Verb,
    password: &Secret,
) -> Result<Answer, Refusal> {
    let name = match std::mem::take(&mut session.state.login) {
        Login::Named(name) => name,
        Login::Out => return Err(Refusal::Sequence("Send USER first")),
        logged_in @ Login::In(_) => {
            session.state.login = logged_in;
            return Err(Refusal::Sequence("You are already logged in"));
        }
    };
    may_come(session, &name)?;
    let account = check(session, &name, password)?;
    security::may_be(session, &account)?;
    let owner = hook_owner(session, &account);
    await_program(session, verb, &account, &owner)?;
    let acting = act(&account)?;
    let home = home(&account).map_err(Refusal::NoHome)?;
    let text = account.user.rules.messages.login.clone();
    enter(session, account, owner, home, acting)?;
    session.connection.trust();
    let text = session.user()?.speech.text(&text).into_owned();
    Ok(Answer::LoggedIn(Reply::new(Code::LoggedIn, text)))
}

/// Switches the session to the current settings, so that an old connection does not log in with
/// outdated ones. Then checks whether a login under this name needs TLS first.
fn may_come(session: &mut Session, name: &[u8]) -> Result<(), Refusal> {
    session.settings = session.shared.settings();
    security::may_name(session, name)
}

// The steps of a login are separate calls, one after the other, to keep the stack shallow:
// each page that a thread's stack has touched stays allocated, and an idle session should have
// few.

#[inline(never)]
fn check(session: &mut Session, name: &[u8], password: &Secret) -> Result<Account, Refusal> {
    let asked = Instant::now();
    let time = session.settings.config.server.login.timeout;
    let until = time.map_or(asked + WAITING, |time| session.login_since + time);
    let is_over = || session.shared.stop.is_soon() || session.live.ended().is_some();
    let patience = Patience { until, is_over: &is_over };
    let attempt = attempt(session, name, password);
    match session.settings.users.log_in(&attempt, &patience, &session.shared.launcher) {
        Ok(account) if security::has_certificate(session, &account) => Ok(account),
        Ok(_) => Err(refuse(session, name, password, AuthError::NoCertificate, asked)),
        Err(AuthError::Busy | AuthError::Outage(_)) if session.live.ended().is_some() => {
            Err(ended(session))
        }
        // no failed login: a password check had no turn in time, or no answer could be had
        Err(why @ (AuthError::Busy | AuthError::Outage(_))) => {
            tell_failed(session, name, &why);
            Err(Refusal::Login(why, false))
        }
        Err(why) => Err(refuse(session, name, password, why, asked)),
    }
}

/// Returns what is known about a login.
fn attempt<'a>(session: &Session, name: &'a [u8], password: &'a Secret) -> Attempt<'a> {
    let layer = session.connection.layer();
    let peer = layer.and_then(Layer::peer);
    Attempt {
        name,
        password: password.expose(),
        from: session.peer.ip(),
        to: session.local,
        tls: layer.map(Layer::version),
        certificate: peer.map(|peer| (peer.subject, peer.fingerprint)),
    }
}

/// Returns the owner of the events that hook programs get: anonymous users are distinguished
/// by address.
fn hook_owner(session: &Session, account: &Account) -> Owner {
    if account.is_anonymous() {
        Owner::anonymous(session.peer.ip())
    } else {
        Owner::user(&account.name)
    }
}

/// Waits until the queue of hook programs has room for the event of `on_login`.
#[inline(never)]
fn await_program(
    session: &mut Session,
    verb: &Verb,
    account: &Account,
    owner: &Owner,
) -> Result<(), Refusal> {
    if account.user.rules.hooks.of(Occasion::Login).is_none() {
        return Ok(());
    }
    let server = &session.settings.config.server;
    let data = server.data.timeout.map(|time| Instant::now() + time);
    let login = server.login.timeout.map(|time| session.login_since + time);
    let until = [data, login].into_iter().flatten().min();
    session.await_room(owner, verb, until).map_err(|_| Refusal::LoginBusy)
}

/// Makes this thread act as the system user of the account (`run_as`).
#[inline(never)]
fn act(account: &Account) -> Result<Option<Acting>, Refusal> {
    rights::act_as(account.user.run_as.as_deref()).map_err(Refusal::NotThatUser)
}

/// Opens the home. It is created first if it is missing and `create_home` allows it.
#[inline(never)]
fn home(account: &Account) -> Result<Home, FsError> {
    let config::User { home, above, rules, run_as, .. } = &*account.user;
    let (create, mode) = (rules.files.create_home, rules.folder.mode_of_dir(rules.files.umask));
    match above {
        None if create => Home::make(home, mode, run_as.as_deref()),
        None => Home::open(home),
        Some(above) => {
            let missing = create.then_some((mode, run_as.as_deref()));
            Home::beneath(above, home, missing)
        }
    }
}

#[inline(never)]
fn enter(
    session: &mut Session,
    account: Account,
    hook_owner: Owner,
    home: Home,
    acting: Option<Acting>,
) -> Result<(), Refusal> {
    let rules = &account.user.rules;
    let shared = &session.shared;
    let (parts, turns) = (Arc::clone(&shared.parts), Arc::clone(&shared.turns));
    let tree = Files::new(home, parts, turns, uploader(session, &account), &account.user);
    let speeds = shared.speeds.of(account.counted_as(), &account.user);
    if !session.live.enter(&account.name) {
        return Err(ended(session));
    }
    session.shared.counters.logins.count(LoginResult::Good);
    // the client is no attacker, so what it tried before the login does not count
    session.refused = 0;
    let cwd = start_dir(&account, &tree);
    session.state.login = Login::In(Box::new(User {
        umask: rules.files.umask,
        idle_timeout: rules.limits.idle_timeout,
        pin: tree.pin_directory(&cwd),
        cwd,
        aliases: Aliases::default(),
        speech: Speech::new(rules.talk.charset, session.state.parameters.signs),
        known: RefCell::default(),
        tree,
        hook_owner,
        speeds,
        account,
        _acting: acting,
    }));
    // the settings may have changed during the check of the password, and the search for
    // sessions of removed users may not have seen this one
    let now = session.shared.settings();
    if Arc::ptr_eq(&now, &session.settings) {
        return Ok(());
    }
    session.shared.take_effect(&now);
    if let Login::In(user) = &session.state.login {
        let account = &user.account;
        let is_removed = if account.user.is_from_elsewhere() {
            now.config.user(account.name.as_bytes()).is_some()
                || !now.config.server.elsewhere.is_on()
        } else {
            now.config.removes(&session.settings.config, &account.name)
        };
        if is_removed {
            session.live.end("The user has been removed");
        }
    }
    Ok(())
}

/// Returns the working directory after the login.
fn start_dir(account: &Account, tree: &Files) -> VirtualPath {
    let root = VirtualPath::root();
    let Some(wanted) = &account.user.rules.files.start_dir else { return root };
    let path = root.join(wanted.as_bytes());
    match tree.enter(&path) {
        Ok(()) => path,
        Err(why) => {
            let (name, real) = (escaped(account.name.as_bytes()), tree.real(&path));
            log::warn!("start_dir of {name}, {}, cannot be entered: {why}", quoted(&real));
            root
        }
    }
}

/// Returns the refusal for a login whose session must end.
fn ended(session: &Session) -> Refusal {
    Refusal::Ended(session.live.ended().unwrap_or("Session ends"))
}

/// Reports a login to the log, to who is told of events, and to the list of last logins that `ftpd
/// users` prints.
#[inline(never)]
pub(crate) fn told(session: &Session) {
    if let Login::In(user) = &session.state.login {
        session.log(&Event::LoggedIn(&user.account.user.home));
        session.shared.logins.note(&user.account.name, session.peer.ip());
        session.shared.guard.stir();
    }
    session.happened(Occasion::Login, &VirtualPath::root(), None, None);
}

/// Returns the owner of the user's uploads.
fn uploader(session: &Session, account: &Account) -> Uploader {
    let owner = uploader_name(account, session.peer.ip());
    let share = uploader_name(account, network(session.peer.ip()));
    Uploader::new(owner, &share, account.user.run_as.clone())
        .known_as(account.name.as_bytes(), session.peer.ip())
}

/// Returns the network that usually belongs to one customer: an IPv4 address, or an IPv6 /64.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (!0 << 64)).into(),
    }
}

/// Reports a failed login to the log, to the counters, and to who is told of events.
fn tell_failed(session: &Session, name: &[u8], why: &AuthError) {
    let text = why.to_string();
    session.log(&Event::LoginFailed(name, &text));
    session.shared.counters.logins.count(why.into());
    session.tell_refused(Occasion::Login, (name, None), Outcome::Failed(&text));
}

fn refuse(
    session: &mut Session,
    name: &[u8],
    password: &Secret,
    why: AuthError,
    asked: Instant,
) -> Refusal {
    session.failed_logins += 1;
    let usual = session.settings.users.usual_time(&why);
    let until = asked + usual.max(PENALTY * session.failed_logins);
    session.live.owe(until);
    tell_failed(session, name, &why);
    // the password was right, so this is no failed guess
    if why != AuthError::TooManySessions {
        session.blame_login(name, password);
    }
    // the client cannot shorten this, not even by disconnecting
    session.live.rest(until);
    let most = session.settings.config.server.login.max_attempts;
    Refusal::Login(why, most.is_some_and(|most| session.failed_logins as usize >= most))
}

/// REIN: resets the session to its state after the greeting. TLS on the control connection is
/// deliberately kept: by RFC 4217 §11 it would end, and the next password would be sent in
/// clear text.
pub(crate) fn reinitialize(session: &mut Session) -> Reply {
    session.drop_setup();
    session.log_out();
    session.state = SessionState::new(session.implicit);
    Reply::new(Code::ServiceReady, "Ready for a new user")
}

/// HOST: accepts every name, because all names mean the same server, but not after a login
/// (RFC 7151 §3.2).
pub(crate) fn host(session: &Session) -> Result<Reply, Refusal> {
    match session.state.login {
        Login::In(_) => Err(Refusal::Sequence("HOST must come before USER")),
        Login::Out | Login::Named(_) => Ok(Reply::new(Code::ServiceReady, "Host accepted")),
    }
}

/// QUIT: ends the session.
pub(crate) fn quit() -> Answer {
    Answer::End(Reply::new(Code::Closing, "Goodbye"), "QUIT")
}
