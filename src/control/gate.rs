//! Has the uploads of a session judged before they are put in place, and carries out the
//! verdicts.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::live::Live;
use super::refusal::Refusal;
use super::session::Session;
use super::shared::{Settings, Shared};
use crate::config::{GateRules, Occasion, User};
use crate::events::{Event, Outcome, Owner};
use crate::gate::{self, Kept, Question, Verdict};
use crate::log::{self, Who};
use crate::tls::Layer;
use crate::vfs::{Files, FsError, Stored, Upload, VirtualPath, Whole};

/// Has uploads judged. Holds what this needs of the session, which is lent to a transfer then.
pub(super) struct Judge {
    shared: Arc<Shared>,
    settings: Arc<Settings>,
    live: Arc<Live>,
    peer: SocketAddr,
    /// The name of the user in the settings.
    name: String,
    is_anonymous: bool,
    user: Arc<User>,
    owner: Owner,
    tls: Option<&'static str>,
    tree: Arc<Files>,
}

impl Session {
    /// Returns what has uploads of the user judged.
    pub(super) fn judge(&self) -> Result<Judge, Refusal> {
        let user = self.user()?;
        Ok(Judge {
            shared: Arc::clone(&self.shared),
            settings: Arc::clone(&self.settings),
            live: Arc::clone(&self.live),
            peer: self.peer,
            name: user.account.name.clone(),
            is_anonymous: user.account.is_anonymous(),
            user: Arc::clone(&user.account.user),
            owner: user.hook_owner.clone(),
            tls: self.connection.layer().map(Layer::version),
            tree: Arc::clone(&user.tree),
        })
    }
}

impl Judge {
    /// Has an upload judged if its folder has a gate, and puts it in place unless it is not
    /// accepted. `took` is the time of the transfer. `goes_on` is called often, and returns
    /// `false` once the session does not wait any more.
    pub(super) fn publish(
        &self,
        mut upload: Upload,
        took: Duration,
        goes_on: &mut dyn FnMut() -> bool,
    ) -> Result<Stored, FsError> {
        let Some(rules) = upload.gate().cloned() else { return upload.finish() };
        let whole = match upload.hold() {
            Ok(whole) => whole,
            Err(why) => {
                upload.fail(false);
                return Err(why);
            }
        };
        self.live.judges();
        let path = upload.path().clone();
        let rename = |dir: BorrowedFd<'_>, name: &Path| {
            upload.move_out(dir, name).map_err(|why| {
                if matches!(why, FsError::Exists) {
                    io::ErrorKind::AlreadyExists.into()
                } else {
                    io::Error::other(why.to_string())
                }
            })
        };
        match self.ask(&rules, &whole, &path, took, &rename, goes_on) {
            Verdict::Accepted => upload.finish(),
            Verdict::Refused(why, kept) => {
                self.tell_refused(&rules, &path, &why, kept);
                upload.fail(false);
                Err(FsError::Rejected(why))
            }
            Verdict::Unanswered(why) => {
                let real = self.tree.real(&path);
                self.log(&log::Event::Unjudged(&real, rules.fails_open, &why));
                if rules.fails_open {
                    return upload.finish();
                }
                // the client may try again with what is there
                upload.fail(true);
                Err(FsError::Unjudged(why))
            }
            Verdict::Over => {
                upload.fail(true);
                Err(FsError::Interrupted)
            }
        }
    }

    fn ask(
        &self,
        rules: &GateRules,
        whole: &Whole,
        path: &VirtualPath,
        took: Duration,
        rename: &gate::Rename<'_>,
        goes_on: &mut dyn FnMut() -> bool,
    ) -> Verdict {
        let real = self.tree.real(path);
        let event = Event {
            occasion: Occasion::Upload,
            user: &self.name,
            is_anonymous: self.is_anonymous,
            address: Some(self.peer.ip()),
            tls: self.tls,
            path: Some((&real, path.as_bytes())),
            from: None,
            transfer: Some((whole.size, took)),
            outcome: Outcome::Done,
        };
        let question = Question {
            rules,
            config: &self.settings.config,
            file: &whole.file,
            part: &whole.part,
            event: &event,
            owner: &self.owner,
            ids: self.user.run_as.as_deref(),
            user: &self.name,
            name: path.name(),
            rename,
        };
        let (goes_on, is_over) = (RefCell::new(goes_on), RefCell::new(false));
        let ends = || {
            let mut is_over = is_over.borrow_mut();
            *is_over = *is_over || !(goes_on.borrow_mut())();
            *is_over
        };
        self.shared.gate.judge(&question, &ends)
    }

    /// Logs that an upload is refused, and what has become of it.
    fn tell_refused(&self, rules: &GateRules, path: &VirtualPath, why: &str, kept: Kept) {
        let real = self.tree.real(path);
        let kept = match kept {
            Kept::No => None,
            Kept::At(path) => Some(path),
            Kept::Failed(why) => {
                let folder = rules.quarantine.as_deref().map(log::path);
                let folder = folder.map(|folder| folder.to_string()).unwrap_or_default();
                ::log::error!("quarantine {folder}: cannot keep a refused upload: {why}");
                None
            }
        };
        let why = if why.is_empty() { "the program gave no reason" } else { why };
        self.log(&log::Event::Rejected(&real, why, kept.as_deref()));
    }

    fn log(&self, event: &log::Event<'_>) {
        let who = Who { peer: self.peer, user: Some(&self.name) };
        log::session(who, event);
        self.shared.recent.note(who, event);
    }
}
