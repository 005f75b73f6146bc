/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The statistics: X(name) for each, in the order in which they are printed, one `name value` line
 * each. All are counters since the module (or the mount) began; *_ns are nanoseconds, *_bytes are
 * bytes. The names are those of the first actiondfs, so that what reads its statistics reads these.
 */
#ifndef ACTIONDFS_KERNEL_UAPI_ACTIONDFS_STATS_H_
#define ACTIONDFS_KERNEL_UAPI_ACTIONDFS_STATS_H_

#define ACTIONDFS_STATS(X)                                                                         \
	X(mounts)                                                                                  \
	X(dir_loads)                                                                               \
	X(root_dir_parses)                                                                         \
	X(cached_dir_requests)                                                                     \
	X(dir_cache_hits)                                                                          \
	X(dir_cache_misses)                                                                        \
	X(dir_cache_races)                                                                         \
	X(cached_dir_builds)                                                                       \
	X(cached_dir_bytes)                                                                        \
	X(cached_file_records)                                                                     \
	X(cached_dir_records)                                                                      \
	X(lookups)                                                                                 \
	X(lookup_hits)                                                                             \
	X(lookup_negative)                                                                         \
	X(readdirs)                                                                                \
	X(readdir_entries)                                                                         \
	X(readdir_resumes)                                                                         \
	X(readdir_skipped_entries_avoided)                                                         \
	X(blob_open_attempts)                                                                      \
	X(blob_open_stale_retries)                                                                 \
	X(blob_open_backing_total_ns)                                                              \
	X(blob_open_backing_path_ns)                                                               \
	X(blob_open_backing_file_ns)                                                               \
	X(blob_path_cache_hits)                                                                    \
	X(blob_path_cache_misses)                                                                  \
	X(blob_path_cache_inserts)                                                                 \
	X(blob_path_cache_evictions)                                                               \
	X(blob_path_cache_races)                                                                   \
	X(node_blob_cache_hits)                                                                    \
	X(node_blob_cache_misses)                                                                  \
	X(backing_reads)                                                                           \
	X(backing_read_bytes)                                                                      \
	X(backing_read_stale_retries)                                                              \
	X(splice_reads)                                                                            \
	X(splice_read_bytes)                                                                       \
	X(splice_read_stale_retries)                                                               \
	X(mmaps)                                                                                   \
	X(mmap_bytes)                                                                              \
	X(mmap_failures)                                                                           \
	X(directory_blob_reads)                                                                    \
	X(directory_blob_bytes)                                                                    \
	X(stage_child_lookups)                                                                     \
	X(stage_child_lookup_hits)                                                                 \
	X(stage_child_lookup_negative)                                                             \
	X(stage_child_lookup_errors)                                                               \
	X(stage_ensure_dir_calls)                                                                  \
	X(stage_ensure_dir_components)                                                             \
	X(stage_ensure_dir_existing)                                                               \
	X(stage_ensure_dir_created)                                                                \
	X(stage_ensure_dir_errors)                                                                 \
	X(stage_parent_dentry_hits)                                                                \
	X(stage_inode_lookups)                                                                     \
	X(stage_inode_lookup_unstaged_parent)                                                      \
	X(stage_inode_lookup_hits)                                                                 \
	X(stage_inode_lookup_negative)                                                             \
	X(stage_inode_lookup_errors)                                                               \
	X(stage_inode_lookup_input_dir_merges)                                                     \
	X(stage_backing_open_attempts)                                                             \
	X(stage_backing_open_failures)                                                             \
	X(stage_backing_open_total_ns)                                                             \
	X(stage_backing_open_lookup_ns)                                                            \
	X(stage_backing_open_file_ns)                                                              \
	X(stage_read_calls)                                                                        \
	X(stage_read_bytes)                                                                        \
	X(stage_read_total_ns)                                                                     \
	X(stage_write_calls)                                                                       \
	X(stage_write_bytes)                                                                       \
	X(stage_write_total_ns)                                                                    \
	X(stage_splice_read_calls)                                                                 \
	X(stage_splice_read_bytes)                                                                 \
	X(stage_splice_read_total_ns)                                                              \
	X(stage_mmap_calls)                                                                        \
	X(stage_mmap_bytes)                                                                        \
	X(stage_mmap_failures)                                                                     \
	X(stage_mmap_total_ns)                                                                     \
	X(stage_create_calls)                                                                      \
	X(stage_create_success)                                                                    \
	X(stage_create_failures)                                                                   \
	X(stage_mkdir_calls)                                                                       \
	X(stage_mkdir_success)                                                                     \
	X(stage_mkdir_failures)                                                                    \
	X(stage_unlink_calls)                                                                      \
	X(stage_unlink_success)                                                                    \
	X(stage_unlink_failures)                                                                   \
	X(stage_rmdir_calls)                                                                       \
	X(stage_rmdir_success)                                                                     \
	X(stage_rmdir_failures)                                                                    \
	X(stage_rename_calls)                                                                      \
	X(stage_rename_success)                                                                    \
	X(stage_rename_failures)                                                                   \
	X(stage_setattr_size_calls)                                                                \
	X(stage_setattr_size_success)                                                              \
	X(stage_setattr_size_failures)                                                             \
	X(stage_readdir_calls)                                                                     \
	X(stage_readdir_hits)                                                                      \
	X(stage_readdir_misses)                                                                    \
	X(stage_readdir_errors)                                                                    \
	X(stage_copy_file_range_attempts)                                                          \
	X(stage_copy_file_range_success)                                                           \
	X(stage_copy_file_range_bytes)                                                             \
	X(stage_copy_file_range_fallbacks)                                                         \
	X(stage_copy_file_range_total_ns)

#endif /* ACTIONDFS_KERNEL_UAPI_ACTIONDFS_STATS_H_ */
