//! Many other terminals: the machines of `ntm-core` in one thread, each with a socket
//! of its own and no virtual interface. They have tunnels with a node that is measured,
//! or with each other through the relay that is.

mod pairs;
mod present;

use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use ntm_core::Rng;
use ntm_core::client::CoordinatorAddress;
use ntm_core::crypto::Identity;
use ntm_core::id::NodeName;
use ntm_core::terminal::TerminalEvent;
use ntm_lab::scenario::until;
use ntm_lab::{Error, Netns, Result, now};

use crate::bed::doing;
pub(crate) use pairs::Pairs;
use present::Present;

/// Somebody of a crowd before it is there: how a coordinator knows it.
pub(crate) struct Stranger {
    identity: Identity,
    /// Its name in the domain.
    name: NodeName,
    rng: Rng,
}

impl Stranger {
    /// As many as asked, of names and keys that no other has.
    ///
    /// # Errors
    /// A name is none.
    pub(crate) fn some(count: usize) -> Result<Vec<Self>> {
        let mut rng = Rng::from_seed([9; 32]);
        let make = |number| {
            let name = format!("crowd-{number}.example").parse();
            Ok(Self {
                identity: Identity::generate(&mut rng),
                name: name.map_err(|_| Error::Wrong("a name is wrong".into()))?,
                rng: rng.split(),
            })
        };
        (0..count).map(make).collect()
    }

    /// What a coordinator's configuration says of it.
    pub(crate) fn member(&self) -> String {
        format!(
            "[[member]]\nname = \"{}\"\npublic_key = \"{}\"\nrole = \"terminal\"\n",
            self.name,
            self.identity.public()
        )
    }
}

/// A crowd that is there until this is dropped.
pub(crate) struct Crowd {
    news: Arc<News>,
    thread: Option<JoinHandle<()>>,
    /// Their virtual addresses.
    vips: Vec<Ipv4Addr>,
    /// The tunnels that they are to have with each other.
    pairs: usize,
}

/// What is said between a crowd's thread and its owner.
#[derive(Default)]
struct News {
    /// The owner: it is over.
    ended: AtomicBool,
    /// The thread: so many are registered,
    registered: AtomicUsize,
    /// and have so many tunnels with each other.
    joined: AtomicUsize,
}

/// Until all tunnels within a crowd are there.
const JOINED_WITHIN: Duration = Duration::from_secs(300);
/// Until those are there again whose keys have just ended.
const REJOINED_WITHIN: Duration = Duration::from_secs(10);
/// So many more are told.
const TOLD_EVERY: usize = 500;
/// What comes and is due within this time is seen to together, so that a crowd takes
/// little of the processors that something else is measured on.
const TICK: Duration = Duration::from_millis(20);

impl Crowd {
    /// Registers all of them with the coordinator, from addresses of these machines, by
    /// turns; who is in one of the pairs has a tunnel soon with the other.
    ///
    /// # Errors
    /// The system has not so many sockets, or the coordinator does not answer.
    pub(crate) fn gather(
        places: &[(&Netns, Ipv4Addr)],
        coordinator: &CoordinatorAddress,
        strangers: Vec<Stranger>,
        pairs: Pairs,
    ) -> Result<Self> {
        let files = |error: nix::Error| doing("raise the limit of open files")(error.into());
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).map_err(files)?;
        setrlimit(Resource::RLIMIT_NOFILE, most, most).map_err(files)?;
        let count = strangers.len();
        let present = places
            .iter()
            .cycle()
            .zip(strangers)
            .map(|((machine, address), stranger)| {
                Present::new(machine, *address, coordinator, stranger)
            })
            .collect::<Result<Vec<_>>>()?;
        let news = Arc::<News>::default();
        let (tell, told) = channel();
        let number = pairs.len();
        let thread = thread::spawn({
            let news = news.clone();
            move || live(present, pairs, &news, &tell)
        });
        let mut this = Self { news, thread: Some(thread), vips: Vec::new(), pairs: number };
        until("the crowd's registration", Duration::from_secs(60), || {
            Ok((this.news.registered.load(Ordering::Relaxed) >= count).then_some(()))
        })?;
        this.vips = told.try_iter().collect();
        Ok(this)
    }

    /// Has the machine send each of them a packet, so that it has a tunnel with each,
    /// and waits until it says that it has.
    ///
    /// # Errors
    /// It does not come to so many.
    pub(crate) fn meet(&self, machine: &Netns, tunnels: impl Fn() -> Result<usize>) -> Result<()> {
        let socket = machine
            .run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)))
            .map_err(doing("open a UDP socket"))?;
        let all = self.vips.len();
        until(&format!("tunnels with {all} others"), Duration::from_secs(120), || {
            if tunnels()? >= all {
                return Ok(Some(()));
            }
            for vip in &self.vips {
                // What does not arrive is said again.
                let _ = socket.send_to(&[0], (*vip, 9));
                thread::sleep(Duration::from_micros(500));
            }
            Ok(None)
        })
    }

    /// Waits for the tunnels that they are to have with each other; `say` hears how many
    /// there are.
    ///
    /// # Errors
    /// It does not come to so many.
    pub(crate) fn join(&self, say: impl Fn(&str)) -> Result<()> {
        let mut told = 0;
        self.wait(JOINED_WITHIN, |joined| {
            if joined >= told + TOLD_EVERY {
                told = joined;
                say(&format!("{joined} of {} other tunnels", self.pairs));
            }
        })
    }

    /// Whether they have all of these tunnels still.
    ///
    /// # Errors
    /// They have not.
    pub(crate) fn must_be_joined(&self) -> Result<()> {
        self.wait(REJOINED_WITHIN, |_| {})
    }

    fn wait(&self, limit: Duration, mut look: impl FnMut(usize)) -> Result<()> {
        let joined = || self.news.joined.load(Ordering::Relaxed);
        let outcome = until("all tunnels of a crowd", limit, || {
            look(joined());
            Ok((joined() >= self.pairs).then_some(()))
        });
        outcome.map_err(|error| {
            Error::Wrong(format!("{error}: there are {} of {}", joined(), self.pairs))
        })
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.news.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _it_panicked = thread.join();
        }
    }
}

/// Lives all of their lives until the end; tells each one's first virtual address.
fn live(mut crowd: Vec<Present>, mut pairs: Pairs, news: &News, tell: &Sender<Ipv4Addr>) {
    let mut buffer = vec![0; 65_536];
    let mut known = vec![false; crowd.len()];
    while !news.ended.load(Ordering::Relaxed) {
        let time = now();
        if known.iter().all(|known| *known) {
            pairs.act(time, &mut crowd);
        }
        for (who, (present, known)) in crowd.iter_mut().zip(&mut known).enumerate() {
            if present.terminal.poll_timeout().is_some_and(|(at, _)| at <= time) {
                present.terminal.handle_timeout(time);
            }
            present.drain(|event| {
                pairs.hear(who, &event);
                if let TerminalEvent::Registered { vips, .. } = event
                    && let Some(vip) = vips.v4
                    && !std::mem::replace(known, true)
                {
                    let _nobody_waits_any_more = tell.send(vip);
                    news.registered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        news.joined.store(pairs.joined(), Ordering::Relaxed);
        thread::sleep(TICK);
        let mut sockets: Vec<_> =
            crowd.iter().map(|each| PollFd::new(each.socket.as_fd(), PollFlags::POLLIN)).collect();
        let _a_signal = ppoll(&mut sockets, Some(Duration::ZERO.into()), None);
        let heard: Vec<_> = sockets.iter().map(|socket| socket.any() == Some(true)).collect();
        for (present, _) in crowd.iter_mut().zip(heard).filter(|(_, heard)| *heard) {
            present.receive(&mut buffer);
        }
    }
}
