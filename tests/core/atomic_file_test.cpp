#include "finer/core/atomic_file.h"

#include "finer/core/error.h"
#include "tests/core/temporary_folder.h"

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace fs = std::filesystem;

namespace {

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

size_t count_files(const fs::path& folder) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(folder), {}));
}

}  // namespace

TEST_CASE("atomic_write makes a file and replaces it whole", "[core]") {
  const finer::TemporaryFolder folder;
  const auto path = folder / "metrics.json";
  finer::atomic_write(path, "first, and longer");
  CHECK(read_file(path) == "first, and longer");
  finer::atomic_write(path, "second");
  CHECK(read_file(path) == "second");
  CHECK(count_files(folder.path()) == 1);
}

TEST_CASE("atomic_write keeps the old file when the writer fails half way", "[core]") {
  const finer::TemporaryFolder folder;
  const auto path = folder / "weights";
  finer::atomic_write(path, "old");
  CHECK_THROWS_WITH(finer::atomic_write(path,
                                        [](int fd) {
                                          finer::write_all(fd, "ne", 2);
                                          throw finer::DataError("the tensor went away");
                                        }),
                    "the tensor went away");
  CHECK(read_file(path) == "old");
  CHECK(count_files(folder.path()) == 1);
}

TEST_CASE("atomic_write follows the process's umask and leaves links in place", "[core]") {
  const finer::TemporaryFolder folder;
  const mode_t before = ::umask(0027);
  finer::atomic_write(folder / "real", "a");
  ::umask(before);
  struct stat status;
  REQUIRE(::stat((folder / "real").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0640);

  fs::create_symlink("real", folder / "link");
  finer::atomic_write(folder / "link", "b");
  CHECK(fs::is_symlink(folder / "link"));
  CHECK(read_file(folder / "real") == "b");
}

TEST_CASE("atomic_write passes a temporary by that a killed process left", "[core]") {
  const finer::TemporaryFolder folder;
  const auto left = folder / (".a." + std::to_string(::getpid()) + "-0.tmp");
  std::ofstream(left) << "half";
  finer::atomic_write(folder / "a", "whole");
  CHECK(read_file(folder / "a") == "whole");
  CHECK(read_file(left) == "half");
}

TEST_CASE("atomic_write writes through to a device and never replaces it", "[core]") {
  finer::atomic_write("/dev/null", "gone");
  CHECK(fs::is_character_file("/dev/null"));
}

TEST_CASE("atomic_write names the path and the reason", "[core]") {
  const finer::TemporaryFolder folder;
  CHECK_THROWS_WITH(finer::atomic_write(folder / "no" / "file", "x"),
                    (folder / "no" / "file").string() +
                        ": cannot be written: No such file or directory (is there a folder " +
                        (folder / "no").string() + "?)");
  CHECK_THROWS_WITH(finer::atomic_write(folder.path(), "x"),
                    folder.path().string() + ": cannot be written: it is a folder");
  // The device that is always full.
  if (fs::exists("/dev/full")) {
    CHECK_THROWS_WITH(finer::atomic_write("/dev/full", "x"),
                      "/dev/full: cannot be written: No space left on device");
  }
}

TEST_CASE("write_all reports a descriptor that cannot be written", "[core]") {
  const int fd = ::open("/dev/null", O_RDONLY);
  CHECK_THROWS_AS(finer::write_all(fd, "x", 1), finer::Error);
  ::close(fd);
}

TEST_CASE("sync_folder names a folder that is not there", "[core]") {
  CHECK_THROWS_WITH(finer::sync_folder("no-such-folder"),
                    "no-such-folder: cannot be opened: No such file or directory");
}
