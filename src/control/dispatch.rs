//! Carries out a line: checks login and permission, and calls the handler of the command.

use super::answer::Answer;
use super::command::{Command, Consumed, Verb};
use super::kinds::Traffic;
use super::offence::Offence;
use super::refusal::Refusal;
use super::reply::{Code, Reply};
use super::request::{Request, parse};
use super::session::Session;
use super::state::{Login, Portion, Source, User};
use super::syntax::SyntaxError;
use super::verbs::{
    copy, facts, hash, info, listing, login, param, security, site, transfer, tree,
};
use crate::config::{Occasion, Perm};
use crate::events::Outcome;
use crate::log::Event;
use crate::vfs::{FsError, VirtualPath, missing_right};

impl Session {
    /// Carries out one line. The return type is the rule that each line gets one final reply
    /// (RFC 959 §5.4).
    #[inline(never)]
    pub(super) fn obey(&mut self, line: &[u8]) -> Answer {
        let request = parse(line);
        ::log::debug!("{} {}", self.peer, request.name());
        if let Login::In(user) = &mut self.state.login
            && !user.speech.is_plain()
        {
            user.hear(request.path(&|_| false).as_ref());
        }
        match self.attempt(&request) {
            Ok(answer) => answer,
            Err(why) => {
                self.log_refusal(&request, &why);
                self.refuse(line, &why)
            }
        }
    }

    /// Answers a line that was too long to be read.
    #[inline(never)]
    pub(super) fn obey_nothing(&mut self) -> Answer {
        self.log(&Event::Refused("a line", None, "too long"));
        // the line may have been an RNFR
        self.state.parameters.rename_from = None;
        self.state.parameters.copy_from = None;
        self.refuse(b"", &Refusal::LineTooLong)
    }

    fn refuse(&mut self, line: &[u8], why: &Refusal) -> Answer {
        self.shared.counters.refused(why.reason());
        self.count_refusal(line, why);
        let reply = match (why.verdict(), self.state.login.user()) {
            (Some(reason), Some(user)) => Refusal::judged(&user.speech.text(reason)),
            _ => Reply::from(why),
        };
        if reply.closes() || self.refused >= MOST_REFUSED {
            Answer::End(reply, "refused")
        } else {
            Answer::GoOn(reply)
        }
    }

    /// Counts a refused line of a client that has not logged in, and reports it to the guard
    /// if no FTP client sends it. A failed login was reported already.
    #[inline(never)]
    fn count_refusal(&mut self, line: &[u8], why: &Refusal) {
        if self.state.login.user().is_some() || matches!(why, Refusal::Login(..)) {
            return;
        }
        self.count_refused();
        let is_control = |&byte: &u8| byte.is_ascii_control() && byte != b'\t';
        let is_noise = line.starts_with(b"SSH-") || line.iter().any(is_control);
        let is_unknown =
            matches!(why, Refusal::Syntax(SyntaxError::UnknownCommand | SyntaxError::Proxy));
        if matches!(why, Refusal::Syntax(SyntaxError::Http)) {
            self.blame(Offence::Http);
        } else if matches!(why, Refusal::Injected) || (is_unknown && is_noise) {
            self.blame(Offence::Noise);
        }
    }

    /// Carries out a parsed line. If the user may not use the command, tries another meaning of
    /// the line, if it has one that the user may use.
    fn attempt(&mut self, request: &Request<'_>) -> Result<Answer, Refusal> {
        let earlier_rename = &mut self.state.parameters.rename_from;
        let rename_from = earlier_rename.take_if(|_| request.renames());
        let earlier_copy = &mut self.state.parameters.copy_from;
        let copy_from = earlier_copy.take_if(|_| request.copies());
        let (verb, command) = request.asks()?;
        let portion = if verb.consumes == Some(Consumed::Portion) {
            std::mem::take(&mut self.state.parameters.portion)
        } else {
            Portion::default()
        };
        if verb.transfers == Some(Traffic::Upload) && portion.end.is_some() {
            // the client would take the file for changed in that range alone
            return Err(Refusal::Sequence("RANG is for RETR and HASH"));
        }
        let mut earlier = Earlier { rename_from, copy_from, portion };
        let Err(why) = self.permit(request, &earlier) else {
            return self.carry_out(verb, command, &mut earlier);
        };
        let other = request.otherwise();
        let other = other.as_ref().filter(|other| self.permit(other, &earlier).is_ok());
        match other.and_then(|other| other.asks().ok()) {
            Some((verb, command)) => {
                self.carry_out(verb, command, &mut earlier).map_err(|_| why)
            }
            None => Err(why),
        }
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each command")]
    fn carry_out(
        &mut self,
        verb: &'static Verb,
        command: &Command,
        earlier: &mut Earlier,
    ) -> Result<Answer, Refusal> {
        let parameters = &mut self.state.parameters;
        let reply = match command {
            Command::Abort => transfer::abort(self),
            Command::Account => Reply::new(Code::Superfluous, "No account needed"),
            Command::Allocate(bytes) => transfer::allocate(self, verb, *bytes)?,
            Command::Available => transfer::available(self, None)?,
            Command::AvailablePath(path) => transfer::available(self, Some(path))?,
            Command::Append(path) => transfer::append(self, verb, path)?,
            Command::Auth(mechanism) => return security::auth(self, mechanism),
            Command::BufferSize(size) => security::buffer_size(self, *size)?,
            Command::ChangeDir(path) => {
                let user = self.user()?;
                let path = match path.as_bytes() {
                    b".." | b"../" => user.tree.above(&user.cwd),
                    _ => tree::directory(user, path),
                };
                tree::change_dir(self.user_mut()?, path)?
            }
            Command::ChangeDirUp => {
                let user = self.user()?;
                let path = user.tree.above(&user.cwd);
                tree::change_dir(self.user_mut()?, path)?
            }
            Command::ChangeGroup(group, path) => site::change_group(self, verb, group, path)?,
            Command::Checksum(algorithm, ranged) => {
                hash::checksum(self, verb, *algorithm, ranged)?
            }
            Command::Chmod(mode, path) => tree::chmod(self, verb, *mode, path)?,
            Command::ClearControl => security::clear_control()?,
            Command::ClientName => Reply::ok("Noted"),
            Command::ClientServerId => Reply::ok("Name=ftpd;"),
            Command::CopyFrom(path) => copy::copy_from(self, path)?,
            Command::CopyTo(path) => copy::copy_to(self, verb, earlier.copy_from.take(), path)?,
            Command::Delete(path) => tree::delete(self, verb, path)?,
            Command::EprtPort(to) | Command::Port(to) => param::active(self, *to)?,
            Command::ExtendedPassive(wanted) => param::extended_passive(self, *wanted)?,
            Command::Feat => info::feat(self),
            Command::Hash(path) => hash::hash(self, verb, path, earlier.portion)?,
            Command::Help => info::help(),
            Command::HelpOn(name) => info::help_on(name)?,
            Command::Host => login::host(self)?,
            Command::Idle => info::idle(self.user()?),
            Command::IdleSet(seconds) => info::set_idle(self.user_mut()?, *seconds)?,
            Command::Language => site::language(None)?,
            Command::LanguageSet(tag) => site::language(Some(tag))?,
            Command::List => listing::list(self, verb, None)?,
            Command::ListPath(path) => listing::list(self, verb, Some(path))?,
            Command::MachineList => listing::machine(self, verb, None)?,
            Command::MachineListPath(path) => listing::machine(self, verb, Some(path))?,
            Command::MachineShow => listing::show(self, None)?,
            Command::MachineShowPath(path) => listing::show(self, Some(path))?,
            Command::MakeDir(path) => tree::make_dir(self, verb, path)?,
            Command::MakeLink(target, link) => site::make_link(self, verb, target, link)?,
            Command::MakeDirs(path) => site::make_dirs(self, verb, path)?,
            Command::Mode(letter) => param::mode(*letter)?,
            Command::ModifiedTime(path) => facts::modified(self, path)?,
            Command::ModifyFacts(wanted, path) => site::modify_facts(self, verb, wanted, path)?,
            Command::ModifyTime(at, path) => facts::modify(self, verb, *at, path)?,
            Command::ModifyTimeOld(timed) => facts::modify_old(self, verb, timed)?,
            Command::NameList => listing::names(self, verb, None)?,
            Command::NameListPath(path) => listing::names(self, verb, Some(path))?,
            Command::Noop => Reply::ok("Still here"),
            Command::OptsHash(wanted) => hash::opts(parameters, *wanted),
            Command::OptsMlst(facts) => param::opts_mlst(parameters, *facts),
            Command::OptsUtf8(on) => param::opts_utf8(self, *on)?,
            Command::Passive => param::passive(self)?,
            Command::Password(password) => return login::password(self, verb, password),
            Command::PreTransfer => Reply::ok("Not needed"),
            Command::PrintDir => tree::print_dir(self.user()?),
            Command::Protect(level) => security::protect(self, *level)?,
            Command::Quit => return Ok(login::quit()),
            Command::Range(bounds) => param::range(parameters, *bounds),
            Command::Reinitialize => login::reinitialize(self),
            Command::RemoveDir(path) => tree::remove_dir(self, verb, path)?,
            Command::RenameFrom(path) => tree::rename_from(self, path)?,
            Command::RenameTo(path) => {
                tree::rename_to(self, verb, earlier.rename_from.as_ref(), path)?
            }
            Command::Restart(offset) => param::restart(parameters, *offset),
            Command::Retrieve(path) => transfer::retrieve(self, verb, path, earlier.portion)?,
            Command::SiteHelp => info::site_help(),
            Command::SiteMd5(path) => hash::md5(self, verb, path)?,
            Command::SiteUtime(fits) => facts::utime(self, verb, fits)?,
            Command::Size(path) => facts::size(self, verb, path)?,
            Command::Stat => info::stat(self),
            Command::StatPath(path) => listing::stat(self, verb, path)?,
            Command::Store(path) => transfer::store(self, verb, path, earlier.portion.start)?,
            Command::StoreUnique => transfer::store_unique(self, verb, None)?,
            Command::StoreUniquePath(path) => transfer::store_unique(self, verb, Some(path))?,
            Command::Structure(letter) => param::structure(*letter)?,
            Command::StructureMount => return Err(Refusal::NotImplemented),
            Command::System => info::system(),
            Command::Type(wanted) => param::transfer_type(parameters, *wanted)?,
            Command::Umask => info::umask(self.user()?),
            Command::UmaskSet(mask) => info::set_umask(self.user_mut()?, *mask),
            Command::User(name) => login::user(self, name)?,
        };
        Ok(Answer::GoOn(reply))
    }

    /// Checks login and permission, as the row of the command demands, for the paths that it names.
    /// Handlers need not check them; only those do that learn from the files what is meant: which of
    /// two commands, or which path.
    fn permit(&self, request: &Request<'_>, earlier: &Earlier) -> Result<(), Refusal> {
        let (verb, command) = request.asks()?;
        match (&self.state.login, verb.perm) {
            (Login::Out | Login::Named(_), _) if verb.before_login => Ok(()),
            (Login::Out | Login::Named(_), _) => Err(Refusal::NotLoggedIn),
            (Login::In(user), Some(perm)) => {
                user.tree.ask(None);
                // without other letters anywhere, it does not matter which path is meant
                if user.account.user.has_letters() {
                    if let Some(from) = &earlier.rename_from {
                        user.check(perm, from)?;
                    }
                    check_place(user, perm, request, command)?;
                } else {
                    user.check_in(perm, &user.cwd)?;
                }
                user.tree.ask(Some(perm));
                Ok(())
            }
            (Login::In(user), None) => {
                user.tree.ask(None);
                Ok(())
            }
        }
    }

    /// Logs a refused command. Failed logins and transfers that had begun are not logged here,
    /// because they have log lines of their own.
    #[inline(never)]
    fn log_refusal(&self, request: &Request<'_>, why: &Refusal) {
        if matches!(why, Refusal::Login(..) | Refusal::Transfer(_)) {
            return;
        }
        let meant = self.user().ok().and_then(|user| {
            let path = request.path(&|name| user.has(name))?;
            Some((user, user.path(&path)))
        });
        let mut why_not = why.to_string();
        if let (Some((user, path)), Some(perm)) = (&meant, request.perm()) {
            let right = |path| missing_right(&user.tree, path, perm);
            if let Refusal::RenameDenied(_, from) = why {
                why_not = right(from).or_else(|| right(path)).unwrap_or(why_not);
            } else if let Refusal::Fs(FsError::Denied(_)) = why {
                why_not = right(path).unwrap_or(why_not);
            }
        }
        let path = meant.map(|(user, path)| (user.tree.real(&path), path));
        let real = path.as_ref().map(|(real, _)| real.as_path());
        self.log(&Event::Refused(request.name(), real, &why_not));
        if let Login::In(user) = &self.state.login {
            let is_known = !matches!(why, Refusal::Syntax(SyntaxError::UnknownCommand));
            let text =
                if is_known { format!("{}: {why_not}", request.name()) } else { why_not };
            let path = path.as_ref().map(|(real, path)| (real.as_path(), path.as_bytes()));
            let about = (user.account.name.as_bytes(), path);
            self.tell_refused(Occasion::Refused, about, Outcome::Refused(&text));
        }
    }
}

/// Checks the permission letters of the place that a command is about: the path that it names, or else
/// what the working directory holds.
fn check_place(
    user: &User,
    perm: Perm,
    request: &Request<'_>,
    command: &Command,
) -> Result<(), Refusal> {
    if matches!(command, Command::ChangeDirUp) {
        return user.check(perm, &user.cwd.parent());
    }
    if let Command::ChangeDir(path) = command {
        return user.check(perm, &tree::directory(user, path));
    }
    if matches!(command, Command::UmaskSet(_)) {
        // it matters for all files
        return user.check(perm, &VirtualPath::root());
    }
    match request.path(&|name| user.has(name)) {
        Some(path) => user.check(perm, &user.path(&path)),
        None => user.check_in(perm, &user.cwd),
    }
}

/// Number of refused commands after which a session without a login is closed, if no ban has
/// ended it before.
const MOST_REFUSED: u32 = 250;

/// The parameters of a command that earlier commands have set.
struct Earlier {
    rename_from: Option<VirtualPath>,
    copy_from: Option<Source>,
    portion: Portion,
}
