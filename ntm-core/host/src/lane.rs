use std::cell::Cell;
use std::ffi::c_void;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use ntm_abi::{Handle, InterfaceTable, Lanes, PutText, RxSlot, TransportTable, TxPacket, lane};
use ntm_core::plugin::{Fault, Lane, PluginError};

use crate::instance::Instance;
use crate::keeper::{Hooks, Keeper};
use crate::port::Port;
use crate::sink::Texts;
use crate::table::Table;
use crate::watchdog::Call;

const SEND: Call = Call::quick("try_send");
const RECEIVE: Call = Call::quick("try_recv");

/// How long the control task waits for what became of its datagram. A plugin that
/// takes longer is not waited for until it is back.
const PATIENCE: Duration = Duration::from_millis(20);

/// What a status report waits for a plugin.
pub(crate) const GLANCE: Duration = Duration::from_millis(50);
/// What an opening waits for the answer to a question.
pub(crate) const OPENING: Duration = Duration::from_secs(2);

/// Slots that are lent at once.
const SLOTS: usize = 64;

/// The largest error number of any system.
const LAST_ERRNO: i64 = 4095;

/// A table with lanes, and with what a status report tells of them.
pub(crate) trait HasLanes: Table {
    fn lanes(&self) -> &Lanes;

    fn facts(&self) -> Option<FactsEntry>;
}

type FactsEntry = unsafe extern "C" fn(Handle, PutText, *mut c_void);

impl HasLanes for TransportTable {
    fn lanes(&self) -> &Lanes {
        &self.lanes
    }

    fn facts(&self) -> Option<FactsEntry> {
        self.facts
    }
}

impl HasLanes for InterfaceTable {
    fn lanes(&self) -> &Lanes {
        &self.lanes
    }

    fn facts(&self) -> Option<FactsEntry> {
        self.facts
    }
}

/// A lane of a plugin.
///
/// The worker that owns it goes into the plugin itself: at a batch a call, that
/// costs next to nothing. Everybody else has a thread of the instance do so, since
/// nobody but a worker may be kept.
pub(crate) struct DynLane<T: HasLanes, H: Hooks<T> + HasPorts> {
    keeper: Arc<Keeper<T, H>>,
    at: usize,
    /// The thread that receives; 0 before it does.
    owner: AtomicU64,
    /// The instance has not come back to somebody who waited.
    late: Arc<AtomicBool>,
}

/// The lanes of whatever the keeper has, one for each of its ports.
pub(crate) fn lanes<T: HasLanes, H: Hooks<T> + HasPorts>(
    keeper: &Arc<Keeper<T, H>>,
) -> Vec<Arc<dyn Lane>> {
    let late = Arc::new(AtomicBool::new(false));
    let lane = |at| -> Arc<dyn Lane> {
        let (keeper, late) = (keeper.clone(), late.clone());
        Arc::new(DynLane { keeper, at, owner: AtomicU64::new(0), late })
    };
    (0..keeper.hooks.ports().len()).map(lane).collect()
}

/// A descriptor for each of so many lanes, with nothing behind it yet.
pub(crate) fn ports(count: usize) -> Result<Vec<Port>, PluginError> {
    let ports: io::Result<_> = (0..count).map(|_| Port::new()).collect();
    ports.map_err(|error| no_port(&error))
}

/// Puts the lanes of an instance behind the descriptors.
pub(crate) fn plug<T: HasLanes>(
    instance: &Arc<Instance<T>>,
    ports: &[Port],
) -> Result<(), PluginError> {
    for (port, fd) in ports.iter().zip(descriptors(instance, ports.len())?) {
        port.plug(fd).map_err(|error| no_port(&error))?;
    }
    Ok(())
}

/// What the instance of the moment says for a status report; what was known where it
/// does not answer at once.
pub(crate) fn facts<T: HasLanes, H: Hooks<T>>(
    keeper: &Keeper<T, H>,
    known: impl FnOnce() -> Vec<(String, String)>,
) -> Vec<(String, String)> {
    let asked = keeper.instance().and_then(|instance| {
        instance.ask_within(GLANCE, Call::quick("facts"), |_, table, handle| {
            let mut texts = Texts::default();
            if let Some(facts) = table.facts() {
                // SAFETY: the sink is lent for the call.
                unsafe { facts(handle, Some(Texts::put), texts.ctx()) };
            }
            texts.take()
        })
    });
    asked.unwrap_or_else(|_| known())
}

/// What keeps the descriptors of lanes.
pub(crate) trait HasPorts {
    fn ports(&self) -> &[Port];

    /// There will be no other instance.
    fn is_over(&self) -> bool {
        false
    }
}

fn this_thread() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    thread_local! {
        static THIS: Cell<u64> = const { Cell::new(0) };
    }
    THIS.with(|this| {
        if this.get() == 0 {
            this.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        this.get()
    })
}

/// A duplicate of the descriptor of each lane.
fn descriptors<T: HasLanes>(
    instance: &Arc<Instance<T>>,
    count: usize,
) -> Result<Vec<OwnedFd>, PluginError> {
    let fds = instance.ask_within(OPENING, Call::quick("lane_fd"), move |_, table, handle| {
        let lane_fd = table.lanes().lane_fd;
        // SAFETY: the plugin's own handle.
        (0..count as u32).map(|at| lane_fd.map_or(-1, |fd| unsafe { fd(handle, at) })).collect()
    });
    let fds: Vec<RawFd> = fds?;
    fds.into_iter().enumerate().map(|(at, fd)| duplicate(instance, at, fd)).collect()
}

fn duplicate<T: Table>(
    instance: &Instance<T>,
    at: usize,
    fd: RawFd,
) -> Result<OwnedFd, PluginError> {
    if fd < 0 {
        instance.lied(format!("has no descriptor for lane {at}"));
        return Err(instance.trouble());
    }
    borrowed(fd).map_err(|error| {
        instance.lied(format!("gave descriptor {fd} for lane {at}: {error}"));
        instance.trouble()
    })
}

/// A duplicate of a descriptor of the plugin's.
pub(crate) fn borrowed(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: it is not -1, and used for this call alone; one that is not open is
    // an error of the system.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    Ok(rustix::io::fcntl_dupfd_cloexec(fd, 3)?)
}

impl<T: HasLanes, H: Hooks<T> + HasPorts> Lane for DynLane<T, H> {
    fn fd(&self) -> BorrowedFd<'_> {
        self.keeper.hooks.ports()[self.at].as_fd()
    }

    fn try_send(&self, packets: &[TxPacket<'_>]) -> io::Result<usize> {
        let current = self.keeper.current();
        let Some(instance) = &*current else { return Err(io::ErrorKind::NotConnected.into()) };
        if self.owner.load(Ordering::Relaxed) == this_thread() {
            return send(instance, self.at, packets);
        }
        for (taken, packet) in packets.iter().enumerate() {
            if let Err(error) = self.hand_over(instance, packet) {
                return if taken == 0 { Err(error) } else { Ok(taken) };
            }
        }
        Ok(packets.len())
    }

    fn try_recv(&self, slots: &mut [RxSlot<'_>]) -> io::Result<usize> {
        self.owner.store(this_thread(), Ordering::Relaxed);
        let current = self.keeper.current();
        let Some(instance) = &*current else {
            let over = self.keeper.hooks.is_over();
            return Err(
                if over { io::ErrorKind::NotConnected } else { io::ErrorKind::WouldBlock }.into()
            );
        };
        receive(instance, self.at, slots).map_err(|error| {
            if error.kind() != io::ErrorKind::WouldBlock {
                if self.keeper.hooks.is_over() {
                    return error;
                }
                // Another instance may do better.
                instance.break_with(format!("has lost lane {}: {error}", self.at), false);
            }
            io::ErrorKind::WouldBlock.into()
        })
    }
}

impl<T: HasLanes, H: Hooks<T> + HasPorts> DynLane<T, H> {
    /// Has a thread of the instance send a packet, and waits for what becomes of it.
    fn hand_over(&self, instance: &Arc<Instance<T>>, packet: &TxPacket<'_>) -> io::Result<()> {
        let (to, said) = mpsc::sync_channel(1);
        let (it, late, at) = (instance.clone(), self.late.clone(), self.at);
        let data = packet.data().to_vec();
        let TxPacket { remote, local, ifindex, segment, ecn, dscp, .. } = *packet;
        let pushed = instance.post.push(Box::new(move || {
            let mut packet = TxPacket::run(&data, segment, remote);
            (packet.local, packet.ifindex) = (local, ifindex);
            (packet.ecn, packet.dscp) = (ecn, dscp);
            let sent = send(&it, at, &[packet]);
            late.store(false, Ordering::Relaxed);
            let _gone = to.send(sent.map(drop));
        }));
        if !pushed {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if self.late.load(Ordering::Relaxed) {
            return Ok(());
        }
        match said.recv_timeout(PATIENCE) {
            Ok(sent) => sent,
            Err(_) => {
                self.late.store(true, Ordering::Relaxed);
                Ok(())
            }
        }
    }
}

fn send<T: HasLanes>(
    instance: &Instance<T>,
    at: usize,
    packets: &[TxPacket<'_>],
) -> io::Result<usize> {
    if packets.is_empty() {
        return Ok(0);
    }
    instance.well().map_err(|_| io::ErrorKind::NotConnected)?;
    let answer = instance.enter(SEND, |table, handle: Handle| {
        let (packets, count) = (packets.as_ptr(), packets.len());
        // SAFETY: the packets are lent for the call.
        table.lanes().try_send.map(|send| unsafe { send(handle, at as u32, packets, count) })
    });
    judge(instance, SEND.name, answer.unwrap_or(0), packets.len())
}

fn receive<T: HasLanes>(
    instance: &Instance<T>,
    at: usize,
    slots: &mut [RxSlot<'_>],
) -> io::Result<usize> {
    instance.well().map_err(|_| io::ErrorKind::WouldBlock)?;
    let count = slots.len().min(SLOTS);
    let slots = &mut slots[..count];
    let mut lent = [(std::ptr::null(), 0); SLOTS];
    for (lent, slot) in lent.iter_mut().zip(&*slots) {
        let (data, capacity, _) = slot.claim();
        *lent = (data, capacity);
    }
    let answer = instance.enter(RECEIVE, |table, handle: Handle| {
        let slots = slots.as_mut_ptr();
        // SAFETY: the slots and what they lend are lent for the call.
        table.lanes().try_recv.map(|receive| unsafe { receive(handle, at as u32, slots, count) })
    });
    let filled = judge(instance, RECEIVE.name, answer.unwrap_or(0), count)?;
    if filled == 0 && count > 0 {
        instance.lied("filled no slot in `try_recv` and did not say why".into());
        return Err(io::ErrorKind::WouldBlock.into());
    }
    for (slot, lent) in slots[..filled].iter().zip(&lent) {
        let (data, capacity, len) = slot.claim();
        if (data, capacity) != *lent || len > capacity {
            let how = format!("says that `try_recv` put {len} bytes into a slot of {}", lent.1);
            instance.lied(how);
            return Err(io::ErrorKind::WouldBlock.into());
        }
    }
    Ok(filled)
}

/// What a count means; one that cannot be breaks the instance.
fn judge<T: Table>(
    instance: &Instance<T>,
    entry: &str,
    answer: i64,
    most: usize,
) -> io::Result<usize> {
    match usize::try_from(answer) {
        Ok(count) if count <= most => return Ok(count),
        Ok(count) => instance.lied(format!("says that `{entry}` did {count} of {most}")),
        Err(_) if answer >= -LAST_ERRNO => {
            let number = i32::try_from(-answer).unwrap_or_default();
            return Err(io::Error::from_raw_os_error(number));
        }
        Err(_) if answer == lane::PANIC => {
            instance.break_with(format!("panicked in `{entry}`"), false);
        }
        Err(_) => instance.lied(format!("answered `{entry}` with {answer}, which there is not")),
    }
    Err(io::ErrorKind::WouldBlock.into())
}

/// No system descriptor for a lane.
fn no_port(error: &io::Error) -> PluginError {
    PluginError::new(Fault::System, format!("cannot make a descriptor for a lane: {error}"), "")
}
