package runner;

/** Java's own security manager, under which a class without permission starts and touches no thread either. */
public final class Guard extends SecurityManager {
    @Override
    public void checkAccess(Thread thread) {
        super.checkPermission(new RuntimePermission("modifyThread"));
    }

    @Override
    public void checkAccess(ThreadGroup group) {
        super.checkPermission(new RuntimePermission("modifyThreadGroup"));
    }
}
