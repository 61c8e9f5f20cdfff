// Looks after connections on which no request is handled: those that are idle, those whose request
// is still arriving, and those that are being closed. One thread does that for all of them, so none
// of these keeps a thread that others need, however slow a client is. A request that is complete
// goes to a pool.
#pragma once

#include <httplib.h>

#include <condition_variable>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "serve/http/connection.h"

namespace evo::serve {

class Reception {
 public:
  /// Handles the request of a connection, on a thread of the pool; false: nothing else is to be
  /// read from it.
  using Serve = std::function<bool(Connection&)>;

  /// At most `most` connections are open. Where one more comes, a connection that waits for
  /// nothing but its client gives way; if there is none, the newcomer is refused.
  Reception(size_t most, const ConnectionLimits& limits, IncomingRequest::Gate gate, Serve serve);
  ~Reception();  ///< ends

  /// From any thread; the socket becomes the object's.
  void add(int socket);
  /// Closes what waits, and waits for what is handled.
  void end();

 private:
  using Owned = std::unique_ptr<Connection>;

  void run();
  [[nodiscard]] bool take_arrivals();
  void admit(Owned connection);
  [[nodiscard]] bool make_room();
  void look_after(Owned connection, bool readable);
  void await_or_dispatch(Owned connection);
  void handle(Owned connection);
  void drop(Owned connection);
  void give_back_memory();
  [[nodiscard]] std::vector<bool> wait_for_bytes() const;
  [[nodiscard]] int patience() const;
  void wake() const;

  size_t most_;
  ConnectionLimits limits_;
  IncomingRequest::Gate gate_;
  Serve serve_;
  int wake_;  // an eventfd
  // Of the thread alone.
  std::list<Owned> waiting_;
  Connection::Clock::time_point trim_at_ = Connection::Clock::time_point::max();

  std::mutex mutex_;
  std::condition_variable handled_fewer_;
  std::vector<Owned> newcomers_, returned_;  // to be taken by the thread
  std::vector<Connection*> handled_;         // by the pool
  bool large_ = false;                       // a large request was among those handled
  bool ending_ = false;                      // no more requests
  bool ended_ = false;                       // the thread ends when it has nothing left
  httplib::ThreadPool pool_;
  std::thread thread_;
};

}  // namespace evo::serve
