// The library as other programs have it: installed, found by CMake and pkg-config, linked, run.
#include <gtest/gtest.h>

#include <sstream>

#include "program.h"

namespace evo {
namespace {

namespace fs = std::filesystem;
using testing::run_shell;

const std::string kExample = EVO_SOURCE_DIR "/examples/cpp";
const std::string kModel = EVO_SOURCE_DIR "/assets/evo-7m";

class LibraryTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new testing::TemporaryFolder;
    if (EVO_HAS_LIBRARY) must("cmake --install " EVO_BUILD_DIR " --prefix " + prefix());
  }
  static void TearDownTestSuite() {
    delete folder_;
    folder_ = nullptr;
  }
  void SetUp() override {
    if (!EVO_HAS_LIBRARY) GTEST_SKIP() << "no libevo: EVO_LIBRARY is OFF";
  }

  static std::string path(const std::string& name) { return (folder_->path() / name).string(); }
  static std::string prefix() { return path("prefix"); }
  static std::string libraries() { return prefix() + "/" EVO_LIBDIR; }

  static std::string must(const std::string& line) {
    const testing::Outcome outcome = run_shell(line);
    EXPECT_EQ(outcome.code, 0) << line << "\n" << outcome.out << outcome.err;
    return outcome.out;
  }

  /// What examples/cpp/story.cc prints, and evo generate for the same.
  static void expect_story(const std::string& program) {
    const testing::Outcome outcome = run_shell(program + " " + kModel);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(outcome.err, "");  // a library does not speak by itself
    const std::string& out = outcome.out;
    const nlohmann::json expected = testing::result(
        "generate " + kModel + " --prompt 'Once upon a time' --mode exact --max-tokens 60");
    const std::string story = expected["text"];
    EXPECT_TRUE(out.starts_with(story + "\n")) << out;
    EXPECT_NE(out.find("tokens per forward pass"), std::string::npos) << out;
    std::istringstream rest(out.substr(story.size()));
    double value = 0;
    std::string line;
    std::getline(rest >> std::ws, line);
    rest >> value;
    EXPECT_NEAR(value, expected["ar_nats_per_token"].get<double>(), 0.02) << out;
    std::getline(rest, line);
    const nlohmann::json form = nlohmann::json::parse(rest);
    EXPECT_TRUE(form["name"].is_string() && form["age"].is_number_integer()) << out;
  }

  static void expect_found_by_cmake(const std::string& target) {
    const std::string build = path(target);
    must("cmake -S " + kExample + " -B " + build + " -DCMAKE_PREFIX_PATH=" + prefix() +
         " -DEVO_TARGET=evo::" + target + " -DCMAKE_CXX_FLAGS='-Wall -Wextra -Werror'");
    must("cmake --build " + build);
    expect_story(build + "/story");
  }

 private:
  static inline testing::TemporaryFolder* folder_ = nullptr;
};

TEST_F(LibraryTest, CMakeFindsTheSharedOne) {
  expect_found_by_cmake("evo");
}

TEST_F(LibraryTest, CMakeFindsTheStaticOne) {
  expect_found_by_cmake("evo_static");
  EXPECT_EQ(must("readelf -d " + path("evo_static") + "/story").find("libevo"), std::string::npos);
}

TEST_F(LibraryTest, PkgConfigFindsIt) {
  must("export PKG_CONFIG_PATH=" + libraries() + "/pkgconfig; c++ -std=c++20 " + kExample +
       "/story.cc $(pkg-config --cflags --libs evo) -Wl,-rpath," + libraries() + " -o " +
       path("story"));
  expect_story(path("story"));
  EXPECT_EQ(must("PKG_CONFIG_PATH=" + libraries() + "/pkgconfig pkg-config --modversion evo"),
            EVO_VERSION "\n");
}

TEST_F(LibraryTest, TheProgramIsThereToo) {
  EXPECT_EQ(must(prefix() + "/bin/evo --version"), "evo " EVO_VERSION "\n");
}

TEST_F(LibraryTest, ShowsItsFrontDoorAlone) {
  std::istringstream symbols(must("nm -DC --defined-only " + libraries() + "/libevo.so"));
  int count = 0;
  for (std::string line; std::getline(symbols, line); ++count) {
    const std::string name = line.substr(std::min<size_t>(19, line.size()));  // address, kind
    bool own = false;
    for (const char* about : {"", "vtable for ", "typeinfo for ", "typeinfo name for "}) {
      own = own || name.starts_with(std::string(about) + "evo::api::");
    }
    EXPECT_TRUE(own) << line;
  }
  EXPECT_GT(count, 20);
}

// Who trains on one process needs no MPI, and who uses the library no server and no terminal.
TEST_F(LibraryTest, NeedsOnlyWhatItUses) {
  const std::string needed = must("readelf -d " + libraries() + "/libevo.so | grep NEEDED");
  EXPECT_NE(needed.find("libdnnl"), std::string::npos) << needed;
  for (const char* other : {"libmpi", "libedit", "libzip", "httplib", "libssl"}) {
    EXPECT_EQ(needed.find(other), std::string::npos) << needed;
  }
}

TEST(Readme, ShowsTheExample) {
  const std::string readme = testing::read_bytes(EVO_SOURCE_DIR "/README.md");
  const size_t begin = readme.find("```cpp\n") + 7;
  ASSERT_GT(begin, 7u);
  const std::string code = readme.substr(begin, readme.find("```", begin) - begin);
  EXPECT_NE(testing::read_bytes(kExample + "/story.cc").find(code), std::string::npos) << code;
}

}  // namespace
}  // namespace evo
