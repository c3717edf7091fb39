//! What the keys of `ftpd top` have changed: the order, the visible part, and a question.

use super::keys::Key;
use super::order::Order;

/// How the sessions are shown.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) order: Order,
    /// Number of hidden lines above the first visible line.
    pub(super) above: usize,
    /// The number that is being typed after the key for ending a session.
    pub(super) number: Option<String>,
    /// The result of the last order, until a key is pressed.
    pub(super) result: Option<String>,
}

/// What has to be done after a key was pressed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Act {
    Show,
    Quit,
    /// End the session with this number.
    Kick(String),
}

/// Maximum number of digits of a session's number.
const DIGITS: usize = 20;

/// The last line, which explains the keys.
const KEYS: &str = "q quit   x end a session   i u a t r sort by a column   j k scroll";

impl View {
    /// Takes note of a key. `page` is the number of lines of a page.
    pub(super) fn press(&mut self, key: Key, page: usize) -> Act {
        self.result = None;
        if let Some(number) = self.number.take() {
            return self.answer(number, key);
        }
        match key {
            Key::Quit => return Act::Quit,
            Key::Sort(column) => self.order = self.order.press(column),
            Key::Kick => self.number = Some(String::new()),
            Key::Scroll(scroll) => self.above = scroll.from(self.above, page),
            Key::Digit(_) | Key::Erase | Key::Enter | Key::Escape | Key::Stay => {}
        }
        Act::Show
    }

    /// Takes note of a key that was pressed while the number of a session is asked for.
    fn answer(&mut self, mut number: String, key: Key) -> Act {
        match key {
            Key::Enter if !number.is_empty() => return Act::Kick(number),
            Key::Quit | Key::Escape | Key::Kick => return Act::Show,
            Key::Digit(digit) if number.len() < DIGITS => number.push(digit),
            Key::Erase => drop(number.pop()),
            Key::Scroll(_) | Key::Sort(_) | Key::Digit(_) | Key::Enter | Key::Stay => {}
        }
        self.number = Some(number);
        Act::Show
    }

    /// Shows the result of an order.
    pub(super) fn report(&mut self, result: String) {
        self.result = Some(result);
    }

    /// Returns the last line.
    pub(super) fn footer(&self) -> String {
        match (&self.number, &self.result) {
            (Some(number), _) => {
                format!("number of the session to end: {number}_   (Enter, or Escape)")
            }
            (None, Some(result)) => result.clone(),
            (None, None) => KEYS.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::top::order::Column;

    fn press(view: &mut View, keys: &[u8]) -> Vec<Act> {
        Key::all(keys).into_iter().map(|key| view.press(key, 10)).collect()
    }

    #[test]
    fn a_session_is_ended_by_its_number_only_after_enter() {
        let mut view = View::default();
        assert_eq!(press(&mut view, b"x1q"), [Act::Show, Act::Show, Act::Show]);
        assert_eq!(view.footer(), KEYS, "q has left the question");
        press(&mut view, b"x12\x7fj3");
        assert!(view.footer().contains("to end: 13_"), "{}", view.footer());
        assert_eq!(press(&mut view, b"\r"), [Act::Kick("13".to_owned())]);
        assert_eq!(press(&mut view, b"x\r\x1b"), [Act::Show, Act::Show, Act::Show]);
        view.report("1 session ended".to_owned());
        assert_eq!(view.footer(), "1 session ended");
        assert_eq!(press(&mut view, b"2q"), [Act::Show, Act::Quit]);
        assert_eq!((view.footer().as_str(), view.above), (KEYS, 0));
    }

    #[test]
    fn the_key_of_a_column_sorts_reverses_and_restores() {
        let mut view = View::default();
        let mut orders = Vec::new();
        for key in [b"u", b"u", b"u", b"r", b"t"] {
            press(&mut view, key);
            orders.push(view.order);
        }
        let (user, rate, time) = (Column::User, Column::Rate, Column::Time);
        let wanted = [Order::By(user), Order::Reversed(user), Order::Busy, Order::By(rate)];
        assert_eq!(orders, [&wanted[..], &[Order::By(time)]].concat());
    }
}
