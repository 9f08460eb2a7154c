#pragma once

#include <filesystem>
#include <functional>
#include <string_view>

namespace finer {

/// Writes `path` so that it is either the old file or the whole new one, whatever happens: beside
/// it under a temporary name, fsync, rename, fsync of the folder. `write` gets an open file
/// descriptor. Throws: Error with the path and errno's text (disk full included); the temporary is
/// removed.
void atomic_write(const std::filesystem::path& path, const std::function<void(int fd)>& write);
void atomic_write(const std::filesystem::path& path, std::string_view bytes);

/// Writes all bytes to a descriptor. Throws: Error with errno's text.
void write_all(int fd, const void* bytes, size_t count);

/// fsync of a folder, so that renames in it last.
void sync_folder(const std::filesystem::path& folder);

}  // namespace finer
