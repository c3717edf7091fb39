//! From a line to its reply: the gates, and the handler of each command.

use super::command::{self, Command, Verb};
use super::offence::Offence;
use super::refusal::Refusal;
use super::reply::{Code, Reply};
use super::session::Session;
use super::state::Login;
use super::syntax::SyntaxError;
use super::verbs::{facts, info, listing, login, param, security, transfer, tree};
use crate::log::Event;
use crate::vfs::{FsError, VirtualPath, missing_right};

impl Session {
    /// One line in, one final reply out: the return type is the rule (RFC 959 §5.4).
    #[inline(never)]
    pub(super) fn obey(&mut self, line: &[u8]) -> Reply {
        ::log::debug!("{} {}", self.peer, command::name_of(line));
        match self.attempt(line) {
            Ok(reply) => reply,
            Err(why) => {
                self.log_refusal(line, &why);
                self.refuse(line, &why)
            }
        }
    }

    pub(super) fn refuse(&mut self, line: &[u8], why: &Refusal) -> Reply {
        self.shared.counters.refused(why.reason());
        self.count_refusal(line, why);
        let reply = Reply::from(why);
        if self.refused < MOST_REFUSED { reply } else { reply.closing() }
    }

    /// What a stranger does that no client does is told to the guard. A login that failed was told
    /// already.
    #[inline(never)]
    fn count_refusal(&mut self, line: &[u8], why: &Refusal) {
        if self.state.login.user().is_some() || matches!(why, Refusal::Login(..)) {
            return;
        }
        self.count_refused();
        let is_control = |&byte: &u8| byte.is_ascii_control() && byte != b'\t';
        let is_noise = line.starts_with(b"SSH-") || line.iter().any(is_control);
        let is_unknown = matches!(why, Refusal::Syntax(SyntaxError::UnknownCommand));
        if matches!(why, Refusal::Syntax(SyntaxError::Http)) {
            self.blame(Offence::Http);
        } else if matches!(why, Refusal::Injected) || (is_unknown && is_noise) {
            self.blame(Offence::Noise);
        }
    }

    fn attempt(&mut self, line: &[u8]) -> Result<Reply, Refusal> {
        // RNFR and RNTO take what RNFR has named, even where they are refused; no other command does
        let rename_from = self.state.parameters.rename_from.take_if(|_| command::renames(line));
        let (verb, command) = command::parse(line)?;
        let restart = if verb.transfers { &mut self.state.parameters.restart } else { &mut 0 };
        let earlier = Earlier { rename_from, restart: std::mem::take(restart) };
        let Err(why) = self.permit(verb) else { return self.carry_out(command, &earlier) };
        match command::parse_otherwise(verb, line) {
            Some((other, command)) if self.permit(other).is_ok() => {
                self.carry_out(command, &earlier).map_err(|_| why)
            }
            _ => Err(why),
        }
    }

    fn carry_out(&mut self, command: Command, earlier: &Earlier) -> Result<Reply, Refusal> {
        match command {
            Command::Abort => Ok(transfer::abort(self)),
            Command::Account => Ok(Reply::new(Code::Superfluous, "No account needed")),
            Command::Allocate(bytes) => transfer::allocate(self, bytes),
            Command::Auth(mechanism) => security::auth(self, &mechanism),
            Command::BufferSize(size) => security::buffer_size(self, size),
            Command::ClearControl => security::clear_control(),
            Command::Protect(level) => security::protect(self, level),
            Command::Append(path) => transfer::append(self, &path),
            Command::ChangeDir(path) => {
                let path = self.user()?.path(&path);
                tree::change_dir(self.user_mut()?, path)
            }
            Command::ChangeDirUp => {
                let path = self.user()?.cwd.parent();
                tree::change_dir(self.user_mut()?, path)
            }
            Command::Chmod(mode, path) => tree::chmod(self, mode, &path),
            Command::ClientName => Ok(Reply::ok("Noted")),
            Command::ClientServerId => Ok(Reply::ok("Name=ftpd;")),
            Command::Delete(path) => tree::delete(self, &path),
            Command::EprtPort(to) | Command::Port(to) => param::active(self, to),
            Command::ExtendedPassive(wanted) => param::extended_passive(self, wanted),
            Command::Feat => {
                Ok(info::feat(&self.state.parameters, self.settings.tls.is_some()))
            }
            Command::Help => Ok(info::help()),
            Command::HelpOn(name) => info::help_on(&name),
            Command::Host => login::host(self),
            Command::Idle => Ok(info::idle(self.user()?)),
            Command::IdleSet(seconds) => info::set_idle(self.user_mut()?, seconds),
            Command::List => listing::list(self, None),
            Command::ListPath(path) => listing::list(self, Some(&path)),
            Command::MachineList => listing::machine(self, None),
            Command::MachineListPath(path) => listing::machine(self, Some(&path)),
            Command::MachineShow => listing::show(self, None),
            Command::MachineShowPath(path) => listing::show(self, Some(&path)),
            Command::MakeDir(path) => tree::make_dir(self, &path),
            Command::Mode(letter) => param::mode(letter),
            Command::ModifiedTime(path) => facts::modified(self, &path),
            Command::ModifyTime(at, path) => facts::modify(self, "MFMT", at, &path),
            Command::SiteUtime(fits) => facts::utime(self, &fits),
            Command::ModifyTimeOld(timed) => facts::modify_old(self, &timed),
            Command::NameList => listing::names(self, None),
            Command::NameListPath(path) => listing::names(self, Some(&path)),
            Command::Noop => Ok(Reply::ok("Still here")),
            Command::OptsMlst(facts) => Ok(param::opts_mlst(&mut self.state.parameters, facts)),
            Command::OptsUtf8(on) => param::opts_utf8(on),
            Command::Password(password) => login::password(self, &password),
            Command::Passive => param::passive(self),
            Command::PreTransfer => Ok(Reply::ok("Not needed")),
            Command::PrintDir => Ok(tree::print_dir(self.user()?)),
            Command::Quit => Ok(login::quit()),
            Command::Reinitialize => Ok(login::reinitialize(self)),
            Command::RemoveDir(path) => tree::remove_dir(self, &path),
            Command::RenameFrom(path) => tree::rename_from(self, &path),
            Command::RenameTo(path) => {
                tree::rename_to(self, earlier.rename_from.as_ref(), &path)
            }
            Command::Restart(offset) => Ok(param::restart(&mut self.state.parameters, offset)),
            Command::Retrieve(path) => transfer::retrieve(self, &path, earlier.restart),
            Command::SiteHelp => Ok(info::site_help()),
            Command::Size(path) => facts::size(self, &path),
            Command::Stat => Ok(info::stat(self)),
            Command::StatPath(path) => listing::stat(self, &path),
            Command::Store(path) => transfer::store(self, &path, earlier.restart),
            Command::StoreUnique => transfer::store_unique(self, None),
            Command::StoreUniquePath(path) => transfer::store_unique(self, Some(&path)),
            Command::Structure(letter) => param::structure(letter),
            Command::StructureMount => Err(Refusal::NotImplemented),
            Command::System => Ok(info::system()),
            Command::Type(wanted) => param::transfer_type(&mut self.state.parameters, wanted),
            Command::Umask => Ok(info::umask(self.user()?)),
            Command::UmaskSet(mask) => Ok(info::set_umask(self.user_mut()?, mask)),
            Command::User(name) => login::user(self, name),
        }
    }

    /// The only login check and the only permission check in the server.
    fn permit(&self, verb: &Verb) -> Result<(), Refusal> {
        match (&self.state.login, verb.perm) {
            (Login::Out | Login::Named(_), _) if verb.before_login => Ok(()),
            (Login::Out | Login::Named(_), _) => Err(Refusal::NotLoggedIn),
            (Login::In(user), Some(perm)) if !user.may(perm) => {
                Err(Refusal::NotPermitted(perm))
            }
            (Login::In(_), _) => Ok(()),
        }
    }

    /// A failed login has its own line, and so has a transfer that had begun.
    #[inline(never)]
    fn log_refusal(&self, line: &[u8], why: &Refusal) {
        if matches!(why, Refusal::Login(..) | Refusal::Transfer(_)) {
            return;
        }
        let (perm, command) = command::parse(line)
            .map_or((None, None), |(verb, command)| (verb.perm, Some(command)));
        let meant = self.user().ok().zip(command.as_ref()).and_then(|(user, command)| {
            let path = listing::meant(user, command)?;
            Some((user, path))
        });
        let mut why_not = why.to_string();
        if let (Some((user, path)), Some(perm)) = (&meant, perm) {
            let right = |path| missing_right(&user.tree, path, perm);
            if let Refusal::RenameDenied(_, from) = why {
                why_not = right(from).or_else(|| right(path)).unwrap_or(why_not);
            } else if let Refusal::Fs(FsError::Denied(_)) = why {
                why_not = right(path).unwrap_or(why_not);
            }
        }
        let path = meant.map(|(user, path)| user.tree.real(&path));
        self.log(&Event::Refused(command::name_of(line), path.as_deref(), &why_not));
    }
}

/// A stranger's refused commands after which the connection is closed, where no ban has ended it.
const MOST_REFUSED: u32 = 250;

/// What earlier commands have set for this one.
struct Earlier {
    rename_from: Option<VirtualPath>,
    restart: u64,
}
