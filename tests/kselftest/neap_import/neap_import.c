// SPDX-License-Identifier: GPL-2.0-only
/*
 * A test's stand-in for a device driver that imports dma-bufs: writing a descriptor's number to
 * /sys/kernel/debug/neap_import attaches it to a platform device, maps it for DMA, maps it into the
 * kernel, adds one to each byte, and lets all go. neap_import_dma leaves out the kernel's mapping,
 * about whose failure the core warns.
 */
#include <linux/debugfs.h>
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/iosys-map.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
MODULE_IMPORT_NS("DMA_BUF");
#else
MODULE_IMPORT_NS(DMA_BUF);
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define dma_buf_vmap_unlocked   dma_buf_vmap
#define dma_buf_vunmap_unlocked dma_buf_vunmap
#endif

static struct platform_device *device;
static struct dentry *file, *dma_file;

static int add_one(struct dma_buf *dmabuf)
{
	struct iosys_map map;
	size_t i;
	int err = dma_buf_vmap_unlocked(dmabuf, &map);

	if (err)
		return err;
	for (i = 0; i < dmabuf->size; i++)
		((u8 *)map.vaddr)[i]++;
	dma_buf_vunmap_unlocked(dmabuf, &map);
	return 0;
}

static int import(struct dma_buf *dmabuf, bool with_vmap)
{
	struct dma_buf_attachment *attachment = dma_buf_attach(dmabuf, &device->dev);
	struct scatterlist *sg;
	struct sg_table *sgt;
	size_t bytes = 0;
	int err, i;

	if (IS_ERR(attachment))
		return PTR_ERR(attachment);
	sgt = dma_buf_map_attachment_unlocked(attachment, DMA_BIDIRECTIONAL);
	if (IS_ERR(sgt)) {
		err = PTR_ERR(sgt);
		goto detach;
	}
	for_each_sgtable_dma_sg(sgt, sg, i)
		bytes += sg_dma_len(sg);
	err = bytes == dmabuf->size ? 0 : -EPROTO;
	if (!err)
		err = dma_buf_begin_cpu_access(dmabuf, DMA_BIDIRECTIONAL);
	if (!err && with_vmap)
		err = add_one(dmabuf);
	if (!err)
		err = dma_buf_end_cpu_access(dmabuf, DMA_BIDIRECTIONAL);
	dma_buf_unmap_attachment_unlocked(attachment, sgt, DMA_BIDIRECTIONAL);
detach:
	dma_buf_detach(dmabuf, attachment);
	return err;
}

static ssize_t import_write(struct file *f, const char __user *text, size_t n, loff_t *pos)
{
	struct dma_buf *dmabuf;
	int fd, err = kstrtoint_from_user(text, n, 10, &fd);

	if (err)
		return err;
	dmabuf = dma_buf_get(fd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	err = import(dmabuf, !file_inode(f)->i_private);
	dma_buf_put(dmabuf);
	return err ? err : n;
}

static const struct file_operations import_fops = {
	.owner = THIS_MODULE,
	.write = import_write,
};

static int __init import_init(void)
{
	int err;

	device = platform_device_register_simple("neap_import", -1, NULL, 0);
	if (IS_ERR(device))
		return PTR_ERR(device);
	err = dma_coerce_mask_and_coherent(&device->dev, DMA_BIT_MASK(64));
	if (err) {
		platform_device_unregister(device);
		return err;
	}
	file = debugfs_create_file("neap_import", 0600, NULL, NULL, &import_fops);
	/* Its private data is what tells the two apart. */
	dma_file = debugfs_create_file("neap_import_dma", 0600, NULL, &dma_file, &import_fops);
	return 0;
}

static void __exit import_exit(void)
{
	debugfs_remove(dma_file);
	debugfs_remove(file);
	platform_device_unregister(device);
}

module_init(import_init);
module_exit(import_exit);
MODULE_DESCRIPTION("Imports dma-bufs for neap's tests");
MODULE_LICENSE("GPL");
