// One file of a hub, into the cache.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "hub/remote/answers.h"
#include "hub/remote/http.h"

namespace evo::hub {

/// How long to wait before asking again after a TransferError.
struct Patience {
  int attempts = 5;          ///< in a row that bring nothing new
  double first_wait = 1;     ///< seconds; each further wait is twice as long
  double longest_wait = 60;  ///< a server that asks for more is not waited for
};

/// Counts failed attempts and waits between them.
class Retry {
 public:
  explicit Retry(Patience patience) : patience_(patience) {}
  /// After an attempt that failed, though it may have brought a part. Throws Error when patience is
  /// at an end, Interrupted when the watcher wants an end.
  void wait(const TransferError& error, bool progressed);

 private:
  Patience patience_;
  int failures_ = 0;
};

struct Download {
  Url url;
  RemoteFile file;
  std::filesystem::path blob;  ///< where it goes
  std::filesystem::path lock;  ///< held meanwhile; other clients of the cache honour it
};

/// Told the bytes of the file that are there, after each piece.
using OnBytes = std::function<void(int64_t bytes)>;

/// Whether the blob is there with that size.
[[nodiscard]] bool is_there(const std::filesystem::path& blob, int64_t size);

/// Gets the file unless `blob` is there with its size, and returns how many bytes came over the
/// network. What an earlier attempt left in BLOB.incomplete is read again and gone on from; so is
/// what an attempt leaves that fails or is stopped. `blob` appears whole, of the size and the
/// digest that were promised, or not at all.
int64_t download(HttpClient& client, const Download& what, const Patience& patience,
                 const OnBytes& on_bytes);

}  // namespace evo::hub
