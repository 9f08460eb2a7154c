#pragma once

#include <filesystem>

namespace finer::data {

/// Walks a MATLAB v5 file before matio sees it: every size and count in it fits the bytes that are
/// there, so a broken or hostile file cannot make the library allocate or loop without end.
/// Little-endian files; classes that no set uses (sparse, objects) are not looked into.
///
/// Throws: DataError "FILE: element N: reason", N counted from 1.
/// Source: MathWorks, "MAT-File Format", chapter 1, level 5.
void check_mat_structure(const std::filesystem::path& path);

}  // namespace finer::data
