//! The receiver of events on another machine.

use std::fmt;
use std::sync::Arc;

use super::duty::Duty;
use super::mqtt::Publisher;
use super::webhook::Webhook;
use crate::config::{Config, EventsTo};
use crate::log::escaped;

/// Who is told of events over the network.
#[derive(Debug)]
pub struct Receiver {
    name: String,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Http(Webhook),
    Mqtt(Publisher),
}

impl Receiver {
    /// Returns the receiver that these settings name, if there is one.
    ///
    /// # Errors
    ///
    /// When it needs authorities, and there are none; the text is for the administrator.
    pub fn of(config: &Config) -> Result<Option<Arc<Self>>, String> {
        let server = &config.server;
        let ca_file = server.elsewhere.ca_file.as_deref();
        let Some(to) = &server.events.to else { return Ok(None) };
        let way = match to {
            EventsTo::Http(url) => {
                Way::Http(Webhook::new(url, ca_file, server.events.secret.as_ref())?)
            }
            EventsTo::Mqtt(broker) => Way::Mqtt(Publisher::new(broker, ca_file)?),
        };
        Ok(Some(Arc::new(Self { name: to.to_string(), way })))
    }

    /// Whether a connection to an earlier receiver serves for this one as well. Over HTTP, each event has a
    /// connection of its own.
    pub(super) fn goes_on_for(&self, earlier: &Self) -> bool {
        match (&self.way, &earlier.way) {
            (Way::Mqtt(this), Way::Mqtt(earlier)) => this.is_for_same(earlier),
            _ => false,
        }
    }

    /// Sends events until it is over, or until the receiver fails.
    pub(super) fn deliver(&self, duty: &Duty<'_>) -> Result<(), String> {
        match &self.way {
            Way::Http(webhook) => webhook.deliver(duty),
            Way::Mqtt(publisher) => publisher.deliver(duty),
        }
    }
}

impl fmt::Display for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escaped(self.name.as_bytes()).fmt(f)
    }
}
