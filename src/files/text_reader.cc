#include "files/text_reader.h"

#include <lzma.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <string_view>

#include "base/error.h"

namespace evo::files {

namespace fs = std::filesystem;

/// Gives text from stored bytes, piece by piece.
class TextReader::Decoder {
 public:
  Decoder(fs::path path, std::string_view stored) : path_(std::move(path)), stored_(stored) {}
  virtual ~Decoder() = default;
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  virtual size_t read(std::span<char> room) = 0;
  [[nodiscard]] virtual size_t taken() const = 0;  ///< stored bytes

 protected:
  static constexpr std::string_view kDamaged =
      "it is damaged, or there is something else behind the compressed data";
  static constexpr std::string_view kTooMuchMemory = "decompressing it needs too much memory";
  static constexpr std::string_view kCutShort = "it ends too early; is the download incomplete?";

  [[nodiscard]] std::string_view stored() const { return stored_; }
  [[noreturn]] void refuse(std::string_view reason) const {
    fail("cannot decompress {}: {}", path_.string(), reason);
  }

 private:
  fs::path path_;
  std::string_view stored_;
};

namespace {

class Plain : public TextReader::Decoder {
 public:
  using Decoder::Decoder;

  size_t read(std::span<char> room) override {
    const size_t count = stored().copy(room.data(), room.size(), taken_);
    taken_ += count;
    return count;
  }
  [[nodiscard]] size_t taken() const override { return taken_; }

 private:
  size_t taken_ = 0;
};

class Xz : public TextReader::Decoder {
 public:
  Xz(const fs::path& path, std::string_view content) : Decoder(path, content) {
    // xz -9 needs 65 MiB; a file that asks for far more is not a text.
    constexpr uint64_t kMaxMemory = uint64_t{1} << 30;
    code_ = lzma_stream_decoder(&stream_, kMaxMemory, LZMA_CONCATENATED);
    stream_.next_in = reinterpret_cast<const uint8_t*>(stored().data());
    stream_.avail_in = stored().size();
  }
  ~Xz() override { lzma_end(&stream_); }

  size_t read(std::span<char> room) override {
    stream_.next_out = reinterpret_cast<uint8_t*>(room.data());
    stream_.avail_out = room.size();
    while (code_ == LZMA_OK && stream_.avail_out > 0) code_ = lzma_code(&stream_, LZMA_FINISH);
    if (code_ != LZMA_OK && code_ != LZMA_STREAM_END) refuse(reason());
    return room.size() - stream_.avail_out;
  }
  [[nodiscard]] size_t taken() const override { return stored().size() - stream_.avail_in; }

 private:
  [[nodiscard]] std::string_view reason() const {
    switch (code_) {
      case LZMA_BUF_ERROR:
        return kCutShort;
      case LZMA_DATA_ERROR:
        return kDamaged;
      case LZMA_OPTIONS_ERROR:
        return "it uses an unsupported option of the format";
      case LZMA_MEM_ERROR:
      case LZMA_MEMLIMIT_ERROR:
        return kTooMuchMemory;
      default:
        return "decompression failed";
    }
  }

  lzma_stream stream_ = LZMA_STREAM_INIT;
  lzma_ret code_;
};

class Zstd : public TextReader::Decoder {
 public:
  Zstd(const fs::path& path, std::string_view content)
      : Decoder(path, content),
        context_(ZSTD_createDCtx(), ZSTD_freeDCtx),
        in_{stored().data(), stored().size(), 0} {
    if (!context_) throw std::bad_alloc();
  }

  size_t read(std::span<char> room) override {
    ZSTD_outBuffer out{room.data(), room.size(), 0};
    while (out.pos < out.size && (in_.pos < in_.size || (wanted_ > 0 && more_))) {
      wanted_ = ZSTD_decompressStream(context_.get(), &out, &in_);
      if (ZSTD_isError(wanted_) != 0) refuse(reason());
      more_ = out.pos == out.size;
    }
    if (out.pos == 0 && wanted_ > 0) refuse(kCutShort);
    return out.pos;
  }
  [[nodiscard]] size_t taken() const override { return in_.pos; }

 private:
  [[nodiscard]] std::string_view reason() const {
    switch (ZSTD_getErrorCode(wanted_)) {
      case ZSTD_error_memory_allocation:
      case ZSTD_error_frameParameter_windowTooLarge:
        return kTooMuchMemory;
      default:
        return kDamaged;
    }
  }

  std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context_;
  ZSTD_inBuffer in_;
  size_t wanted_ = 1;  // 0 at the end of a frame; others may follow
  bool more_ = true;   // that the last call had no room for
};

class Gzip : public TextReader::Decoder {
 public:
  Gzip(const fs::path& path, std::string_view content) : Decoder(path, content) {
    constexpr int kGzipOnly = 16 + MAX_WBITS;
    if (inflateInit2(&stream_, kGzipOnly) != Z_OK) throw std::bad_alloc();
  }
  ~Gzip() override { inflateEnd(&stream_); }

  size_t read(std::span<char> room) override {
    // zlib counts in 32 bits.
    constexpr size_t kMost = std::numeric_limits<uInt>::max();
    stream_.next_out = reinterpret_cast<Bytef*>(room.data());
    const auto size = static_cast<uInt>(std::min(room.size(), kMost));
    stream_.avail_out = size;
    while (stream_.avail_out > 0) {
      if (ended_ && taken() == stored().size()) break;
      if (ended_) inflateReset(&stream_);  // another member follows
      const std::string_view left = stored().substr(taken_);
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(left.data()));
      stream_.avail_in = static_cast<uInt>(std::min(left.size(), kMost));
      const uInt offered = stream_.avail_in;
      const int code = inflate(&stream_, Z_NO_FLUSH);
      taken_ += offered - stream_.avail_in;
      ended_ = code == Z_STREAM_END;
      if (code == Z_BUF_ERROR) refuse(kCutShort);
      if (code == Z_MEM_ERROR) refuse(kTooMuchMemory);
      if (code != Z_OK && !ended_) refuse(kDamaged);
    }
    return size - stream_.avail_out;
  }
  [[nodiscard]] size_t taken() const override { return taken_; }

 private:
  z_stream stream_{};
  size_t taken_ = 0;
  bool ended_ = false;
};

using Path = const fs::path&;
struct Format {
  std::string_view extension, magic;
  std::unique_ptr<TextReader::Decoder> (*decoder)(Path, std::string_view);
};
template <class D>
std::unique_ptr<TextReader::Decoder> make(Path path, std::string_view stored) {
  return std::make_unique<D>(path, stored);
}
using namespace std::string_view_literals;
constexpr Format kFormats[] = {{".xz", "\xFD\x37zXZ\0"sv, make<Xz>},
                               {".zst", "\x28\xB5\x2F\xFD"sv, make<Zstd>},
                               {".gz", "\x1F\x8B"sv, make<Gzip>}};

std::unique_ptr<TextReader::Decoder> decoder_of(Path path, std::string_view stored) {
  for (const Format& format : kFormats) {
    if (stored.starts_with(format.magic)) return format.decoder(path, stored);
  }
  for (const Format& format : kFormats) {
    if (path.extension() != format.extension) continue;
    fail("{}: expected {} data, as the name says, found something else; is it cut short?",
         path.string(), format.extension.substr(1));
  }
  return make<Plain>(path, stored);
}

}  // namespace

TextReader::TextReader(const fs::path& path) : path_(path) {
  std::error_code unknown;
  if (fs::is_regular_file(path, unknown) && fs::file_size(path, unknown) > 0) {
    file_.emplace(path);
  } else {
    copy_ = std::make_unique<std::string>(read_file(path, std::numeric_limits<int64_t>::max()));
  }
  decoder_ = decoder_of(path_, stored());
}
TextReader::~TextReader() = default;
TextReader::TextReader(TextReader&&) noexcept = default;
TextReader& TextReader::operator=(TextReader&&) noexcept = default;

size_t TextReader::read(std::span<char> room) {
  EVO_CHECK(!room.empty());
  return decoder_->read(room);
}

std::string_view TextReader::stored() const {
  if (copy_) return *copy_;
  return {reinterpret_cast<const char*>(file_->bytes().data()), file_->bytes().size()};
}

size_t TextReader::stored_bytes_read() const {
  return decoder_->taken();
}

std::string read_text(const fs::path& path, int64_t max_bytes) {
  TextReader reader(path);
  std::array<char, 1 << 16> piece;
  std::string text;
  while (const size_t count = reader.read(piece)) {
    text.append(piece.data(), count);
    // A small file can hold any amount of text.
    if (std::cmp_greater(text.size(), max_bytes)) {
      fail("{} is too large: expected at most {} bytes of text", path.string(), max_bytes);
    }
  }
  return text;
}

std::string read_text_corpus(const fs::path& path) {
  std::string text = read_text(path, std::numeric_limits<int64_t>::max());
  if (text.empty()) fail("{} is empty; expected a text", path.string());
  return text;
}

}  // namespace evo::files
