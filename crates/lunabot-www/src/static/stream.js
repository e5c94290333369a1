// A stream of events that is open only while its page is seen. A browser gives a server six connections for all its tabs, and
// pages it keeps for the back button count: a stream of each would leave none for the next page.

export function whileSeen(url, handlers) {
  let events = null, over = false;

  function open() {
    if (events || over || document.hidden) return;
    events = new EventSource(url);
    for (const [name, handle] of Object.entries(handlers)) events.addEventListener(name, handle);
    events.addEventListener("error", () => {
      if (events?.readyState === EventSource.CLOSED) { shut(); setTimeout(open, 10000); }
    });
  }

  function shut() {
    events?.close();
    events = null;
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? shut() : open()));
  addEventListener("pagehide", shut);
  addEventListener("pageshow", open);
  open();
  return { close() { over = true; shut(); } };
}
