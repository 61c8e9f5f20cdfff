#include <histedit.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <string_view>

#include "base/error.h"
#include "base/process/interrupt.h"
#include "base/process/watcher.h"
#include "base/terminal/terminal.h"
#include "cli/chat/chat_input.h"
#include "cli/chat/line_editor.h"
#include "cli/chat/turn_file.h"
#include "text/utf8.h"

namespace evo::cli {
namespace {

// Terminals then send what is pasted between kPasteBegin and kPasteEnd, so that its line ends are
// not keys.
constexpr const char *kMarkPastes = "\x1b[?2004h", *kDoNotMarkPastes = "\x1b[?2004l";
constexpr const char *kPasteBegin = "\x1b[200~", *kPaste = "evo-paste";
constexpr std::wstring_view kPasteEnd = L"\x1b[201~";

volatile std::sig_atomic_t screen_changed = 0;

extern "C" void on_screen_change(int) {
  screen_changed = 1;
}

/// While it lives, a terminal that was resized or handed back to this job wakes who waits for keys.
class ScreenChanges {
 public:
  ScreenChanges()
      : resized_before_(catch_signal(SIGWINCH, on_screen_change)),
        continued_before_(catch_signal(SIGCONT, on_screen_change)) {}
  ~ScreenChanges() {
    sigaction(SIGWINCH, &resized_before_, nullptr);
    sigaction(SIGCONT, &continued_before_, nullptr);
  }
  ScreenChanges(const ScreenChanges&) = delete;
  ScreenChanges& operator=(const ScreenChanges&) = delete;

 private:
  struct sigaction resized_before_, continued_before_;
};

/// While it lives, libedit takes bytes for UTF-8, which is what models read and write, whatever the
/// user's locale is.
class Utf8Locale {
 public:
  Utf8Locale() : locale_(newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)) {
    if (locale_ != nullptr) before_ = uselocale(locale_);
  }
  ~Utf8Locale() {
    if (locale_ == nullptr) return;
    uselocale(before_);
    freelocale(locale_);
  }
  Utf8Locale(const Utf8Locale&) = delete;
  Utf8Locale& operator=(const Utf8Locale&) = delete;

 private:
  locale_t locale_, before_ = nullptr;
};

class LibeditLineEditor : public LineEditor {
 public:
  explicit LibeditLineEditor(ChatInterrupt& interrupt) : interrupt_(interrupt) {
    const Utf8Locale utf8;
    editor_ = el_init("evo", stdin, stdout, stderr);
    history_ = history_init();
    if (editor_ == nullptr || history_ == nullptr) fail("the terminal cannot be set up");
    HistEvent event;
    history(history_, &event, H_SETSIZE, kTurns);
    history(history_, &event, H_SETUNIQUE, 1);
    el_set(editor_, EL_CLIENTDATA, this);
    el_set(editor_, EL_PROMPT, &prompt_of);
    el_set(editor_, EL_GETCFN, &key_of);
    el_set(editor_, EL_EDITOR, "emacs");
    el_set(editor_, EL_HIST, history, history_);
    el_set(editor_, EL_ADDFN, kPaste, "insert what the terminal pastes", &paste_into);
    el_set(editor_, EL_BIND, kPasteBegin, kPaste, nullptr);
    el_set(editor_, EL_BIND, "^R", "em-inc-search-prev", nullptr);
    el_source(editor_, nullptr);  // ~/.editrc, if there is one
  }
  ~LibeditLineEditor() override {
    if (editor_ != nullptr) el_end(editor_);
    if (history_ != nullptr) history_end(history_);
  }
  LibeditLineEditor(const LibeditLineEditor&) = delete;
  LibeditLineEditor& operator=(const LibeditLineEditor&) = delete;

  Event read(const std::string& prompt, std::string& line) override {
    const Utf8Locale utf8;
    const ScreenChanges changes;
    prompt_ = prompt;
    event_ = Event::kLine;
    el_resize(editor_);
    std::fputs(kMarkPastes, stdout);
    int count = 0;
    const char* typed = el_gets(editor_, &count);
    std::fputs(kDoNotMarkPastes, stdout);
    if (typed == nullptr) {
      std::fputs("\n", stdout);
      std::fputs(kClearBehind, stdout);
    }
    std::fflush(stdout);
    if (typed == nullptr) return event_ == Event::kInterrupt ? event_ : Event::kEnd;
    line.assign(typed, count);
    if (line.ends_with('\n')) line.pop_back();
    return Event::kLine;
  }

  void remember(const std::string& turn) override {
    const Utf8Locale utf8;
    HistEvent event;
    history(history_, &event, H_ENTER, turn.c_str());
  }

 private:
  static LibeditLineEditor& self(EditLine* editor) {
    void* data = nullptr;
    el_get(editor, EL_CLIENTDATA, &data);
    return *static_cast<LibeditLineEditor*>(data);
  }

  static char* prompt_of(EditLine* editor) { return self(editor).prompt_.data(); }
  static int key_of(EditLine* editor, wchar_t* key) { return self(editor).read_key(*key); }
  static unsigned char paste_into(EditLine* editor, int /*key*/) { return self(editor).paste(); }

  /// The next character that was typed: 1 if there is one, 0 at the end, -1 if there is none.
  int read_key(wchar_t& key) {
    for (;;) {
      if (const size_t length = whole_character()) {
        key = decode(std::string_view(bytes_).substr(0, length));
        bytes_.erase(0, length);
        return 1;
      }
      if (interrupted()) return 0;
      pollfd sources[] = {{STDIN_FILENO, POLLIN, 0}, {interrupt_.descriptor(), POLLIN, 0}};
      if (poll(sources, 2, -1) < 0 && errno != EINTR) return -1;
      if (interrupt_.take()) {
        event_ = Event::kInterrupt;
        return -1;
      }
      if (screen_changed) redraw();
      if (sources[0].revents == 0) continue;
      char bytes[4096];
      const ssize_t count = ::read(STDIN_FILENO, bytes, sizeof bytes);
      if (count == 0) return 0;
      if (count < 0 && errno != EINTR) return -1;
      if (count > 0) bytes_.append(bytes, static_cast<size_t>(count));
    }
  }

  /// Bytes of the first character, or of what can become none; 0: not all of it is here.
  [[nodiscard]] size_t whole_character() const {
    if (bytes_.empty()) return 0;
    const size_t length = text::utf8_character_length(bytes_);
    if (length > 0) return length;
    const auto first = static_cast<unsigned char>(bytes_[0]);
    const size_t promised = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC2 ? 2 : 1;
    return bytes_.size() < promised ? 0 : 1;
  }

  static wchar_t decode(std::string_view character) {
    constexpr wchar_t kReplacement = 0xFFFD;
    const auto byte = [&](size_t i) { return static_cast<unsigned char>(character[i]); };
    if (character.size() == 1) return byte(0) < 0x80 ? byte(0) : kReplacement;
    wchar_t code = byte(0) & (0xFF >> (character.size() + 1));
    for (size_t i = 1; i < character.size(); ++i) code = (code << 6) | (byte(i) & 0x3F);
    return code;
  }

  void redraw() {
    screen_changed = 0;
    el_resize(editor_);
    el_set(editor_, EL_PREP_TERM, 1);  // a shell has set the terminal up for itself meanwhile
    el_set(editor_, EL_REFRESH);
  }

  unsigned char paste() {
    std::wstring text;
    while (!text.ends_with(kPasteEnd)) {
      wchar_t key = 0;
      if (el_wgetc(editor_, &key) != 1) return CC_EOF;
      text += key;
    }
    text.resize(text.size() - kPasteEnd.size());
    std::ranges::replace(text, L'\r', L'\n');  // which terminals send for a line end
    std::erase(text, L'\0');
    if (!text.empty() && el_winsertstr(editor_, text.c_str()) != 0) return CC_ERROR;
    return CC_REFRESH;
  }

  ChatInterrupt& interrupt_;
  EditLine* editor_ = nullptr;
  History* history_ = nullptr;
  std::string prompt_, bytes_;  // bytes: read, and not yet a key
  Event event_ = Event::kLine;
};

}  // namespace

std::unique_ptr<LineEditor> make_line_editor(ChatInterrupt& interrupt) {
  return std::make_unique<LibeditLineEditor>(interrupt);
}

}  // namespace evo::cli
